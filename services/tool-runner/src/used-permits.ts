import { AgentGateError } from '@agentgate/contracts';

/** Permits that were used, so that each serves once. */
export interface UsedPermits {
  /** Marks the permit as used. Rejects POLICY_DENIED when it was already, RUNNER_UNAVAILABLE when that cannot be known. */
  use(id: string, expiresAt: number): Promise<void>;
}

/** The memory that the replicas of the runner share. */
export interface SharedMarks {
  /** Resolves with whether the mark is new. */
  mark(id: string, ttlMs: number): Promise<boolean>;
}

/** A mark outlives its permit by the difference of two machines' clocks. */
const graceMs = 2_000;
const forgetEveryMs = 250;
/** More than a runner can execute within a permit's life; beyond it nothing is executed rather than something forgotten. */
const maxRemembered = 1_000_000;

/** Both memories must agree that the permit is new: Redis may be emptied, and this process does not know of the others. */
export const createUsedPermits = ({ shared, now }: { shared: SharedMarks; now: () => number }): UsedPermits => {
  const expiries = new Map<string, number>();
  let forgotten = Number.NEGATIVE_INFINITY;
  /**
   * Permits live a few seconds at most, so the map's order of insertion is near enough the order of expiry. Not at each call: a map's first
   * member is behind all that were deleted since it was last laid out anew.
   */
  const forget = () => {
    const at = now();
    if (at - forgotten < forgetEveryMs) return;
    forgotten = at;
    for (const [id, forgetAt] of expiries) {
      if (forgetAt > at) return;
      expiries.delete(id);
    }
  };
  return {
    use: async (id, expiresAt) => {
      forget();
      if (expiries.has(id)) throw used();
      if (expiries.size >= maxRemembered)
        throw new AgentGateError('OVERLOADED', 'too many permits were used in the last seconds');
      expiries.set(id, expiresAt + graceMs);
      let isNew: boolean;
      try {
        isNew = await shared.mark(id, Math.max(1, expiresAt - now()) + graceMs);
      } catch (cause) {
        throw new AgentGateError('RUNNER_UNAVAILABLE', 'the permit cannot be marked as used: Redis does not answer', {
          cause,
        });
      }
      if (!isNew) throw used();
    },
  };
};

const used = () => new AgentGateError('POLICY_DENIED', 'permit: it was used already');
