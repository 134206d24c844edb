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
/** More than a runner can execute within a permit's life; beyond it nothing is executed rather than something forgotten. */
const maxRemembered = 1_000_000;

/** Both memories must agree that the permit is new: Redis may be emptied, and this process does not know of the others. */
export const createUsedPermits = ({ shared, now }: { shared: SharedMarks; now: () => number }): UsedPermits => {
  /** By the second in which they are forgotten: a map of all of them would lose its first members all the time, and hold a time for each. */
  const bySecond = new Map<number, Set<string>>();
  let remembered = 0;
  const forget = () => {
    const at = now();
    for (const [second, ids] of bySecond) {
      if (second * 1_000 > at) continue;
      bySecond.delete(second);
      remembered -= ids.size;
    }
  };
  const isRemembered = (id: string) => {
    for (const ids of bySecond.values()) if (ids.has(id)) return true;
    return false;
  };
  const remember = (id: string, expiresAt: number) => {
    const second = Math.ceil((expiresAt + graceMs) / 1_000);
    const ids = bySecond.get(second);
    if (ids) ids.add(id);
    else bySecond.set(second, new Set([id]));
    remembered++;
  };
  return {
    use: async (id, expiresAt) => {
      forget();
      if (isRemembered(id)) throw used();
      if (remembered >= maxRemembered)
        throw new AgentGateError('OVERLOADED', 'too many permits were used in the last seconds');
      remember(id, expiresAt);
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
