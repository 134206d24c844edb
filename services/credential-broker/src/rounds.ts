import type { Broker } from './service.ts';

interface RoundsOptions {
  broker: Pick<Broker, 'sweep' | 'reconcile' | 'revokeKilled'>;
  /** The epoch of the kill view; a change means new orders. */
  epoch: () => number;
  log: { warn(fields: object, message: string): void };
  sweepMs?: number;
  reconcileMs?: number;
  killMs?: number;
}

/** A lease ends so much after its time at the latest; where nothing is due, a round costs a look at the index. */
const everySweepMs = 250;
const everyReconcileMs = 60_000;
const everyKillMs = 250;

/**
 * What the broker does unasked: it ends leases when their time is over, compares its records with the providers at the start and each
 * minute, and ends killed leases soon after a kill order.
 */
export const startRounds = ({
  broker,
  epoch,
  log,
  sweepMs = everySweepMs,
  reconcileMs = everyReconcileMs,
  killMs = everyKillMs,
}: RoundsOptions): { stop(): Promise<void> } => {
  let seen = -1;
  const sweep = round(
    () => broker.sweep(),
    (error) => log.warn({ err: error }, 'leases could not be swept'),
  );
  const reconcile = round(
    () => broker.reconcile(),
    (error) => log.warn({ err: error }, 'leases could not be compared with their providers'),
  );
  const kills = round(
    async () => {
      const at = epoch();
      if (at === seen) return;
      await broker.revokeKilled();
      seen = at;
    },
    // A stale view tells nothing; it denies new leases meanwhile, and the next round asks it again.
    () => {},
  );
  // Not awaited: leases of an earlier run must not hold up new ones, nor an evidence stream that is slow to come up.
  void sweep.run().then(reconcile.run);
  const timers = [
    setInterval(() => void sweep.run(), sweepMs),
    setInterval(() => void reconcile.run(), reconcileMs),
    setInterval(() => void kills.run(), killMs),
  ];
  return {
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all([sweep.idle(), reconcile.idle(), kills.idle()]);
    },
  };
};

/** One run at a time: a slow round is not joined by the next. */
const round = (work: () => Promise<void>, failed: (error: unknown) => void) => {
  let running: Promise<void> | undefined;
  const run = (): Promise<void> => {
    running ??= work()
      .catch(failed)
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  return { run, idle: async () => running };
};
