import type { Bus, RunMessage } from '@agentgate/bus';
import { AgentGateError, checkpointSubject, everyEntry, evidenceStream, evidenceSubject } from '@agentgate/contracts';
import type { EvidenceStream } from '../publisher.ts';

const publishMs = 5_000;
/** Stands for the tenant in the subject of an event that concerns none. */
const noTenant = '_';

/** EVIDENCE through the connection in account AUDIT. Audit is its only writer, so it knows the sequence that each entry must get. */
export const createEvidenceStream = (bus: Pick<Bus, 'publishRun' | 'lastMessage' | 'streamInfo'>): EvidenceStream => ({
  last: async () => {
    const { lastSeq } = await bus.streamInfo(evidenceStream.name);
    const last = await bus.lastMessage(evidenceStream.name, everyEntry);
    if (!last) return { lastSeq };
    const index = Number(last.header('Ag-Index'));
    const leafHash = last.header('Ag-Leaf-Hash');
    if (!Number.isSafeInteger(index) || leafHash === undefined)
      throw new AgentGateError('INTERNAL', `message ${last.seq} of EVIDENCE is no entry`);
    return { lastSeq, entry: { index, leafHash } };
  },
  publish: async ({ entries, note }, lastSeq) => {
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
    return lastSeq + run.length;
  },
});
