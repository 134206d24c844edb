import type { Bus } from '@agentgate/bus';
import { AgentGateError, everyEntry, evidenceStream, evidenceSubject } from '@agentgate/contracts';
import type { EvidenceStream } from '../publisher.ts';

const publishMs = 5_000;
/** Stands for the tenant in the subject of an event that concerns none. */
const noTenant = '_';

/** EVIDENCE through the connection in account AUDIT. Audit is its only writer, so it knows the sequence that each entry must get. */
export const createEvidenceStream = (
  bus: Pick<Bus, 'publishDurable' | 'lastMessage' | 'streamInfo'>,
): EvidenceStream => ({
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
  publish: async ({ index, leafHash, text, tenant, type }, lastSeq) => {
    const headers = {
      'Ag-Index': String(index),
      'Ag-Leaf-Hash': leafHash,
      'Nats-Expected-Last-Sequence': String(lastSeq),
    };
    const { seq, duplicate } = await bus.publishDurable(evidenceSubject(tenant ?? noTenant, type), text, {
      id: String(index),
      headers,
      timeoutMs: publishMs,
    });
    if (duplicate || seq !== lastSeq + 1)
      throw new AgentGateError('INTERNAL', `EVIDENCE has entry ${index} at ${seq} already, and not at ${lastSeq + 1}`);
  },
});
