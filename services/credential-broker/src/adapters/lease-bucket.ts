import { type Bucket, type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import {
  AgentGateError,
  buckets,
  type LeaseRecord,
  leaseKey,
  leaseRecord,
  leaseSubject,
  leaseUse,
} from '@agentgate/contracts';
import type { BrokerLog, LeaseRecords } from '../ending.ts';
import { expiryOf, type HeldLease, isOpen } from '../lease.ts';
import type { LeaseIndex } from '../lease-index.ts';

/** Longer than any permit lives (limits.permitTtlMs), with room for clocks that differ. */
const keepEndedS = 120;
const writeMs = 2_000;

/** Until a token's `exp` every replica, also one that starts later, must be able to tell that it ended (`/revoked.json`). */
const keptS = (record: LeaseRecord, now: number): number =>
  record.provider === 'jwt' ? keepEndedS + Math.max(0, Math.ceil((expiryOf(record) - now) / 1_000)) : keepEndedS;

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

/** Undefined for a permit that only prolonged another one's lease. */
const parse = (value: Uint8Array, revision: number): HeldLease | undefined => {
  const json: unknown = JSON.parse(new TextDecoder().decode(value));
  return leaseUse.safeParse(json).success ? undefined : { record: leaseRecord.parse(json), revision };
};

export const createLeaseBucket = (
  bus: Pick<Bus, 'bucket' | 'publishDurable'>,
  now: () => number,
): LeaseRecords & { feed(index: LeaseIndex, log: BrokerLog): Promise<Follower> } => {
  const bucket: Bucket = bus.bucket(buckets.leases);
  const writeFor = (permit: string, value: string, expectedLastSubjectSeq: number, keepS: number) =>
    compared(
      bus
        .publishDurable(leaseSubject(permit), value, {
          expectedLastSubjectSeq,
          headers: { 'Nats-TTL': `${keepS}s` },
          timeoutMs: writeMs,
        })
        .then(({ seq }) => seq),
    );
  return {
    create: (record) => compared(bucket.create(leaseKey(record.permit), JSON.stringify(record))),
    update: (record, revision) => {
      const value = JSON.stringify(record);
      if (isOpen(record)) return compared(bucket.update(leaseKey(record.permit), value, revision));
      return writeFor(record.permit, value, revision, keptS(record, now()));
    },
    use: async (permit, lease) => {
      const written = await writeFor(permit, JSON.stringify({ v: 1, used_for: lease }), 0, keepEndedS);
      return written === 'conflict' ? 'conflict' : 'used';
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
          const held = parse(value, revision);
          if (held) index.put(held);
        } catch (error) {
          // Not ours to guess what it was; its key still stands, so its permit stays used.
          log.warn({ err: error, key }, 'a lease record cannot be read');
        }
      }),
  };
};
