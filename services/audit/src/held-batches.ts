import type { Incoming, LogStore } from './log-store.ts';
import type { VerifiedBatch } from './verified-batch.ts';

/**
 * Batches that came before their predecessor. After a crash or a broken connection, unacknowledged messages come again only when the consumer's
 * ack wait is over, and newer ones overtake them: that is no hole. Time is counted in ticks, not by a clock: a process that
 * slept has not given the missing one its chance.
 */
export const createHeldBatches = <M extends Incoming>({
  graceTicks,
  maxHeld,
}: {
  graceTicks: number;
  maxHeld: number;
}) => {
  let held: { batch: VerifiedBatch<M>; age: number }[] = [];
  /** Ticks since messages can have been lost on their way here. Until the grace is over many may be out of order, later hardly any. */
  let calm = 0;
  const take = (index: number): VerifiedBatch<M> | undefined =>
    index === -1 ? undefined : held.splice(index, 1)[0]?.batch;
  const isExpired = ({ age }: { age: number }) => age > graceTicks;
  const isFull = () => calm > graceTicks && held.length > maxHeld;
  const isSame = (a: M, b: M) => a.seq === b.seq && Buffer.compare(a.data, b.data) === 0;

  return {
    size: () => held.length,
    add: (batch: VerifiedBatch<M>) => {
      // A held message is redelivered, too; its newest copy is the one to acknowledge.
      const same = held.find((h) => isSame(h.batch.message, batch.message));
      if (same) same.batch = batch;
      else held.push({ batch, age: 0 });
    },
    age: () => {
      calm++;
      for (const h of held) h.age++;
    },
    /** The next one whose predecessor is there now. */
    takeReady: (head: LogStore['head']) =>
      take(held.findIndex(({ batch: { source, epoch, first } }) => first <= (head(source, epoch)?.seq ?? 0) + 1)),
    hasExpired: () => held.some(isExpired) || isFull(),
    /** The earliest of those that waited too long; or the oldest, when too many wait. */
    takeExpired: () => {
      const expired = held.filter(isExpired).sort((a, b) => a.batch.first - b.batch.first)[0];
      return take(expired ? held.indexOf(expired) : isFull() ? 0 : -1);
    },
    clear: () => {
      held = [];
      calm = 0;
    },
  };
};
