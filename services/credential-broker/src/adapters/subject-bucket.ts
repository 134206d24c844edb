import type { Bucket, Bus } from '@agentgate/bus';
import { AgentGateError, buckets, subjectRecord } from '@agentgate/contracts';
import type { SubjectRecords } from '../subjects.ts';

const unavailable = (cause: unknown) =>
  new AgentGateError('BROKER_UNAVAILABLE', "the people's records do not answer", { cause });

/** Each record goes with the token in it. */
export const createSubjectBucket = (bus: Pick<Bus, 'bucket'>): SubjectRecords => {
  const bucket: Bucket = bus.bucket(buckets.subjects);
  return {
    create: async (id, record, keepMs) => {
      try {
        await bucket.update(id, JSON.stringify(record), 0, { keptS: Math.ceil(keepMs / 1_000) });
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
