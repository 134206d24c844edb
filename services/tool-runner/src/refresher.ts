/** Does one thing again and again: at a steady pace while it works, with growing pauses while it fails, never twice at once. */
export interface Refresher {
  /** Resolves after the first attempt, however it ended. */
  start(): Promise<void>;
  /** Sooner than planned: something changed. */
  soon(): void;
  /** What the last attempt brought about has broken since. */
  broke(): void;
  stop(): void;
}

export interface RefresherOptions {
  refresh(): Promise<void>;
  onFailure(error: unknown): void;
  everyMs: number;
  firstRetryMs: number;
  maxRetryMs: number;
  /** Failures that lie so far apart are not counted as a row. */
  calmMs: number;
  /** How soon after a hint it is done, and how often at most. */
  soonMs: number;
}

export const pace = { soonMs: 50, everyMs: 60_000, firstRetryMs: 250, maxRetryMs: 15_000, calmMs: 10_000 } as const;

export const createRefresher = (opts: RefresherOptions): Refresher => {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let due = Number.POSITIVE_INFINITY;
  let isWanted = false;
  let isStopped = false;
  let failures = 0;
  let failedAt = Number.NEGATIVE_INFINITY;
  const fail = () => {
    const at = performance.now();
    failures = at - failedAt > opts.calmMs ? 1 : failures + 1;
    failedAt = at;
    // Servers that broke together must not come back together.
    return Math.min(opts.maxRetryMs, opts.firstRetryMs * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
  };
  const plan = (ms: number) => {
    if (isStopped) return;
    clearTimeout(timer);
    due = performance.now() + ms;
    timer = setTimeout(() => void run().catch(() => {}), ms);
  };
  const run = (): Promise<void> => {
    clearTimeout(timer);
    running ??= opts
      .refresh()
      .then(
        () => opts.everyMs,
        (error: unknown) => {
          if (!isStopped) opts.onFailure(error);
          return fail();
        },
      )
      .then((nextMs) => {
        running = undefined;
        plan(isWanted ? Math.min(opts.soonMs, nextMs) : nextMs);
        isWanted = false;
      });
    return running;
  };
  return {
    start: run,
    soon: () => {
      if (running) isWanted = true;
      // Hints that come all the time must not put it off.
      else if (performance.now() + opts.soonMs < due) plan(opts.soonMs);
    },
    broke: () => {
      const waitMs = fail();
      if (!running) plan(waitMs);
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
};
