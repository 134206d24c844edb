import { type Bucket, type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import { AgentGateError, buckets, leaseKey, leaseRecord, leaseSubject } from '@agentgate/contracts';
import type { BrokerLog, LeaseRecords } from '../ending.ts';
import { type HeldLease, isOpen } from '../lease.ts';
import type { LeaseIndex } from '../lease-index.ts';

/** Longer than any permit lives (limits.permitTtlMs), with room for clocks that differ. */
const keepEndedS = 120;
const writeMs = 2_000;

const unavailable = (cause: unknown) =>
  new AgentGateError('BROKER_UNAVAILABLE', 'the lease records do not answer', { cause });

/** Somebody else's write is an answer; anything else is a failure of the bucket. */
const compared = async (write: Promise<number>): Promise<number | 'conflict'> => {
  try {
    return await write;
  } catch (error) {
    if (error instanceof WrongRevision) return 'conflict';
    throw unavailable(error);
  }
};

const parse = (value: Uint8Array, revision: number): HeldLease => ({
  record: leaseRecord.parse(JSON.parse(new TextDecoder().decode(value))),
  revision,
});

export const createLeaseBucket = (
  bus: Pick<Bus, 'bucket' | 'publishDurable'>,
): LeaseRecords & { feed(index: LeaseIndex, log: BrokerLog): Promise<Follower> } => {
  const bucket: Bucket = bus.bucket(buckets.leases);
  return {
    create: (record) => compared(bucket.create(leaseKey(record.permit), JSON.stringify(record))),
    update: (record, revision) => {
      const value = JSON.stringify(record);
      if (isOpen(record)) return compared(bucket.update(leaseKey(record.permit), value, revision));
      return compared(
        bus
          .publishDurable(leaseSubject(record.permit), value, {
            expectedLastSubjectSeq: revision,
            headers: { 'Nats-TTL': `${keepEndedS}s` },
            timeoutMs: writeMs,
          })
          .then(({ seq }) => seq),
      );
    },
    read: async (permit) => {
      try {
        const entry = await bucket.get(leaseKey(permit));
        return entry?.operation === 'PUT' ? parse(entry.value, entry.revision) : undefined;
      } catch (error) {
        throw unavailable(error);
      }
    },
    /** Keeps the index up with the bucket; resolves when the index has everything that stood there. */
    feed: (index, log) =>
      bucket.watch(({ key, value, revision, operation }) => {
        if (operation !== 'PUT') return index.drop(key, revision);
        try {
          index.put(parse(value, revision));
        } catch (error) {
          // Not ours to guess what it was; its key still stands, so its permit stays used.
          log.warn({ err: error, key }, 'a lease record cannot be read');
        }
      }),
  };
};
