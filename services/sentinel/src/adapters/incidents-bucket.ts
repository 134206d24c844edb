import { type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import { buckets, incidentRecord, incidentSubject } from '@agentgate/contracts';
import type { IncidentIndex } from '../incident-index.ts';
import type { Held, Records } from '../ports.ts';

const keepReleasedS = 90 * 86_400;
const writeMs = 1_000;

const parse = (value: Uint8Array, revision: number): Held => ({
  record: incidentRecord.parse(JSON.parse(new TextDecoder().decode(value))),
  revision,
});

export const createIncidentsBucket = (
  bus: Pick<Bus, 'bucket' | 'publishDurable'>,
): Records & {
  /** Keeps the index up with the bucket; resolves when the index has everything that stood there. */
  feed(index: IncidentIndex, log: { error(fields: object, message: string): void }): Promise<Follower>;
} => {
  const bucket = bus.bucket(buckets.incidents);
  const put = async (id: string, value: string, expectedLastSubjectSeq: number, headers?: Record<string, string>) => {
    try {
      const { seq } = await bus.publishDurable(incidentSubject(id), value, {
        expectedLastSubjectSeq,
        ...(headers && { headers }),
        timeoutMs: writeMs,
      });
      return seq;
    } catch (error) {
      if (error instanceof WrongRevision) return 'conflict';
      throw error;
    }
  };
  return {
    create: (record) => put(record.id, JSON.stringify(record), 0),
    update: (record, revision) =>
      put(
        record.id,
        JSON.stringify(record),
        revision,
        record.state === 'released' ? { 'Nats-TTL': `${keepReleasedS}s` } : undefined,
      ),
    read: async (id) => {
      const entry = await bucket.get(id);
      return entry?.operation === 'PUT' ? parse(entry.value, entry.revision) : undefined;
    },
    feed: (index, log) =>
      bucket.watch(({ key, value, revision, operation }) => {
        if (operation !== 'PUT') return index.drop(key, revision);
        try {
          index.put(parse(value, revision));
        } catch (error) {
          log.error({ err: error, key }, 'an incident cannot be read');
        }
      }),
  };
};
