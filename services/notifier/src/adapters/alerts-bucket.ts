import { type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import { type AlertRecord, alertRecord, alertSubject, buckets } from '@agentgate/contracts';
import type { AlertIndex } from '../alert-index.ts';
import type { Held, Log, Records } from '../ports.ts';

const writeMs = 2_000;
/** An event that comes again within this time is known to be delivered. */
const keepDeliveredS = 86_400;
/** So long an operator can look at what was given up, and have it tried again. */
export const keepDeadMs = 30 * 86_400_000;

/** Somebody else's write is an answer; anything else is a failure of the bucket. */
const compared = async (write: Promise<{ seq: number }>): Promise<number | 'conflict'> => {
  try {
    return (await write).seq;
  } catch (error) {
    if (error instanceof WrongRevision) return 'conflict';
    throw error;
  }
};

const parse = (value: Uint8Array, revision: number): Held => ({
  record: alertRecord.parse(JSON.parse(new TextDecoder().decode(value))),
  revision,
});

const keptS = ({ state }: AlertRecord): number | undefined => {
  switch (state) {
    case 'waiting':
      return undefined;
    case 'delivered':
      return keepDeliveredS;
    case 'dead':
      return keepDeadMs / 1_000;
    default:
      return state satisfies never;
  }
};

export const createAlertsBucket = (
  bus: Pick<Bus, 'bucket' | 'publishDurable'>,
): Records & {
  /** Keeps the index up with the bucket; resolves when the index has everything that stood there. */
  feed(index: AlertIndex, log: Pick<Log, 'warn'>): Promise<Follower>;
} => {
  const bucket = bus.bucket(buckets.alerts);
  const put = (record: AlertRecord, expectedLastSubjectSeq: number) => {
    const kept = keptS(record);
    return compared(
      bus.publishDurable(alertSubject(record.id), JSON.stringify(record), {
        expectedLastSubjectSeq,
        ...(kept !== undefined && { headers: { 'Nats-TTL': `${kept}s` } }),
        timeoutMs: writeMs,
      }),
    );
  };
  return {
    create: (record) => put(record, 0),
    update: put,
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
          log.warn({ err: error, key }, 'an alert cannot be read and is none');
        }
      }),
  };
};
