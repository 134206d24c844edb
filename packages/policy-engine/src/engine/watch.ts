/** Sees whether one evaluation goes on too long. On a crowded machine a thread may just not be let run: that is no hang. */
export interface Watch {
  stop(): void;
}

export interface Watched {
  /** Which evaluation runs now, or undefined for none. */
  at(): string | undefined;
  /** Milliseconds of processor time that its thread has had; undefined where the thread does not tell. */
  spentMs(): Promise<number | undefined>;
  onHung(): void;
  cutOffMs: number;
}

/** After so many times the cut-off it counts as hung, whatever its thread had of the processor. */
const patience = 20;

/** Calls `onHung` once, when an evaluation has run for the cut-off and had the processor for at least half of it. */
export const startWatch = ({ at, spentMs, onHung, cutOffMs }: Watched): Watch => {
  let seen: { at: string; since: number; spent: number | undefined } | undefined;
  let looking = false;
  const look = async (): Promise<boolean> => {
    const now = at();
    if (now === undefined || now !== seen?.at) {
      seen = now === undefined ? undefined : { at: now, since: performance.now(), spent: undefined };
      return false;
    }
    const looked = seen;
    const spent = await spentMs();
    // The answer took a while: only where nothing moved meanwhile does it mean anything.
    if (at() !== looked.at) return false;
    if (looked.spent !== undefined && spent !== undefined && spent - looked.spent >= cutOffMs / 2) return true;
    looked.spent ??= spent;
    return performance.now() - looked.since >= cutOffMs * patience;
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .then((hung) => {
        looking = false;
        if (!hung) return;
        clearInterval(timer);
        onHung();
      })
      .catch(() => {
        looking = false;
      });
  }, cutOffMs / 3);
  timer.unref();
  return { stop: () => clearInterval(timer) };
};
