import type { Bucket, Bus } from '@agentgate/bus';
import { AgentGateError, buckets, subjectRecord, subjectSubject } from '@agentgate/contracts';
import type { SubjectRecords } from '../subjects.ts';

const writeMs = 2_000;

const unavailable = (cause: unknown) =>
  new AgentGateError('BROKER_UNAVAILABLE', "the people's records do not answer", { cause });

/** Each record goes with the token in it. */
export const createSubjectBucket = (bus: Pick<Bus, 'bucket' | 'publishDurable'>): SubjectRecords => {
  const bucket: Bucket = bus.bucket(buckets.subjects);
  return {
    create: async (id, record, keepMs) => {
      try {
        await bus.publishDurable(subjectSubject(id), JSON.stringify(record), {
          expectedLastSubjectSeq: 0,
          headers: { 'Nats-TTL': `${Math.ceil(keepMs / 1_000)}s` },
          timeoutMs: writeMs,
        });
      } catch (error) {
        throw unavailable(error);
      }
    },
    read: async (id) => {
      try {
        const entry = await bucket.get(id);
        if (entry?.operation !== 'PUT') return undefined;
        return subjectRecord.parse(JSON.parse(new TextDecoder().decode(entry.value)));
      } catch (error) {
        throw unavailable(error);
      }
    },
  };
};
