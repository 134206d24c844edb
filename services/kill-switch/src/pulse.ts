import type { Freshness } from './freshness.ts';
import type { Orders } from './orders.ts';
import type { Clock, OrderStream } from './ports.ts';

export interface PulseDeps {
  leader: OrderStream['leader'];
  /** The identity of the stream that this instance follows. */
  stream: string;
  orders: Pick<Orders, 'epoch'>;
  freshness: Freshness;
  clock: Clock;
  tell(pulse: { epoch: number; at: number }): void;
  /** The truth is not what it was: nothing that this process knows counts any more. */
  broken(why: string): void;
}

/** Asks the stream's leader for its last order, and only then vouches for it: to this instance and to all enforcement points. */
export const createPulse =
  ({ leader, stream, orders, freshness, clock, tell, broken }: PulseDeps) =>
  async (): Promise<void> => {
    const askedAt = clock.monotonic();
    // What the leader says is true of some moment after this one: the older of the two is told.
    const at = clock.now();
    const followed = orders.epoch();
    const now = await leader();
    if (now.stream !== stream) return broken('the KILL stream was made anew');
    if (now.epoch < followed)
      return broken(`the KILL stream ends at ${now.epoch}, but it was followed to ${followed}: orders are lost`);
    freshness.vouch(now.epoch, askedAt);
    tell({ epoch: now.epoch, at });
  };
