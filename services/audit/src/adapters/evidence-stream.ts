import type { Bus, RunMessage } from '@agentgate/bus';
import { AgentGateError, checkpointSubject, everyEntry, evidenceStream, evidenceSubject } from '@agentgate/contracts';
import type { EvidenceStream } from '../publisher.ts';

const publishMs = 5_000;
/** Stands for the tenant in the subject of an event that concerns none. */
const noTenant = '_';

/** EVIDENCE through the connection in account AUDIT. Audit is its only writer, so it knows the sequence that each entry must get. */
export const createEvidenceStream = (bus: Pick<Bus, 'publishRun' | 'lastMessage' | 'streamInfo'>): EvidenceStream => {
  /** The index that comes next: no entry is written again, however long ago the stream took it. */
  let next = 0;
  const last: EvidenceStream['last'] = async () => {
    next = 0;
    const { lastSeq } = await bus.streamInfo(evidenceStream.name);
    const entry = await bus.lastMessage(evidenceStream.name, everyEntry);
    if (!entry) return { lastSeq };
    const index = Number(entry.header('Ag-Index'));
    const leafHash = entry.header('Ag-Leaf-Hash');
    if (!Number.isSafeInteger(index) || leafHash === undefined)
      throw new AgentGateError('INTERNAL', `message ${entry.seq} of EVIDENCE is no entry`);
    next = index + 1;
    return { lastSeq, entry: { index, leafHash } };
  };
  const publish: EvidenceStream['publish'] = async ({ entries, note }, lastSeq) => {
    for (const [n, { index }] of entries.entries())
      if (index !== next + n)
        throw new AgentGateError('INTERNAL', `entry ${index} does not come next, but ${next + n}`);
    const run: RunMessage[] = entries.map(({ index, leafHash, body, tenant, type }) => ({
      subject: evidenceSubject(tenant ?? noTenant, type),
      body,
      id: String(index),
      headers: { 'Ag-Index': String(index), 'Ag-Leaf-Hash': leafHash },
    }));
    const end = lastSeq + entries.length;
    // The same checkpoint may be told again, so its place is its id.
    if (note !== undefined) run.push({ subject: checkpointSubject, body: note, id: `checkpoint-${end}`, headers: {} });
    await bus.publishRun(run, { lastSeq, timeoutMs: publishMs });
    next += entries.length;
    return lastSeq + run.length;
  };
  return { last, publish };
};
