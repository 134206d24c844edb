import type { Bus } from '@agentgate/bus';
import { AgentGateError, everyEntry, evidenceStream, evidenceSubject } from '@agentgate/contracts';
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
  publish: (entries, lastSeq) =>
    bus.publishRun(
      entries.map(({ index, leafHash, text, tenant, type }) => ({
        subject: evidenceSubject(tenant ?? noTenant, type),
        body: text,
        id: String(index),
        headers: { 'Ag-Index': String(index), 'Ag-Leaf-Hash': leafHash },
      })),
      { lastSeq, timeoutMs: publishMs },
    ),
});
