/** The replicas of policy that are known, by what they say of themselves each second. */
export interface Replicas {
  alive(instance: string, epoch: number, state: 'up' | 'leaving'): void;
  /** Those that run, and those that fell silent within the last minute without a farewell. */
  known(): { instance: string; epoch: number; silentMs: number }[];
}

/** Three times in a row nothing was heard of it. */
export const silentAfterMs = 3_500;
const forgottenAfterMs = 60_000;
/** Far above any deployment; a broken sender cannot make the list grow without end. */
const replicasMax = 1_024;

export const createReplicas = (monotonic: () => number): Replicas => {
  const replicas = new Map<string, { epoch: number; seenAt: number }>();
  const sweep = () => {
    const now = monotonic();
    for (const [instance, { seenAt }] of replicas) if (now - seenAt > forgottenAfterMs) replicas.delete(instance);
  };
  return {
    alive: (instance, epoch, state) => {
      if (state === 'leaving') {
        replicas.delete(instance);
        return;
      }
      if (replicas.size >= replicasMax) sweep();
      if (replicas.size < replicasMax || replicas.has(instance)) replicas.set(instance, { epoch, seenAt: monotonic() });
    },
    known: () => {
      sweep();
      const now = monotonic();
      return [...replicas].map(([instance, { epoch, seenAt }]) => ({
        instance,
        epoch,
        silentMs: Math.round(now - seenAt),
      }));
    },
  };
};
