import { limits } from '@agentgate/contracts';

/** Whether this instance may still say what the last order is: the stream's leader vouched for it within the stale limit. */
export interface Freshness {
  /** At `askedAt` the leader's last order was `epoch`. */
  vouch(epoch: number, askedAt: number): void;
  stale(): boolean;
}

const kept = 8;

export const createFreshness = (deps: { epoch: () => number; monotonic: () => number }): Freshness => {
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let waiting: { epoch: number; askedAt: number }[] = [];
  return {
    vouch: (epoch, askedAt) => {
      waiting = [...waiting, { epoch, askedAt }].slice(-kept);
    },
    stale: () => {
      const epoch = deps.epoch();
      for (const voucher of waiting) if (voucher.epoch <= epoch) confirmedAt = Math.max(confirmedAt, voucher.askedAt);
      waiting = waiting.filter((voucher) => voucher.epoch > epoch);
      return deps.monotonic() - confirmedAt > limits.killViewStaleMs;
    },
  };
};
