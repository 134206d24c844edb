import { type BucketRecords, type Bus, compared, createRecords } from '@agentgate/bus';
import { AgentGateError, buckets, type LeaseRecord, leaseKey, leaseRecord, leaseUse } from '@agentgate/contracts';
import type { LeaseRecords } from '../ending.ts';
import { expiryOf, isOpen } from '../lease.ts';

/** Longer than any permit lives (limits.permitTtlMs), with room for clocks that differ. */
const keepEndedS = 120;
const writeMs = 2_000;

/** Until a token's `exp` every replica, also one that starts later, must be able to tell that it ended (`/revoked.json`). */
const keptS = (record: LeaseRecord, now: number): number =>
  record.provider === 'jwt' ? keepEndedS + Math.max(0, Math.ceil((expiryOf(record) - now) / 1_000)) : keepEndedS;

const failure = (cause: unknown) =>
  new AgentGateError('BROKER_UNAVAILABLE', 'the lease records do not answer', { cause });

export const createLeaseBucket = (
  bus: Pick<Bus, 'bucket'>,
  now: () => number,
): LeaseRecords & Pick<BucketRecords<LeaseRecord>, 'feed'> => {
  const bucket = bus.bucket(buckets.leases);
  return {
    ...createRecords<LeaseRecord>(bucket, {
      keyOf: ({ permit }) => leaseKey(permit),
      /** A permit that only prolonged another one's lease has none of its own. */
      parse: (value) => (leaseUse.safeParse(value).success ? undefined : leaseRecord.parse(value)),
      keptS: (record) => (isOpen(record) ? undefined : keptS(record, now())),
      writeMs,
      failure,
    }),
    use: async (permit, lease) => {
      const use = JSON.stringify({ v: 1, used_for: lease });
      const written = await compared(
        bucket.update(leaseKey(permit), use, 0, { keptS: keepEndedS, timeoutMs: writeMs }),
        failure,
      );
      return written === 'conflict' ? 'conflict' : 'used';
    },
  };
};
