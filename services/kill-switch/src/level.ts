/** A number that only rises and that can be waited for: an epoch, as some view of the orders has reached it. */
export interface Level {
  value(): number;
  raise(to: number): void;
  /** False when `target` was not reached within `waitMs`. */
  reached(target: number, waitMs: number): Promise<boolean>;
}

interface Waiter {
  target: number;
  end(reached: boolean): void;
}

export const createLevel = (): Level => {
  let value = 0;
  const waiters = new Set<Waiter>();
  return {
    value: () => value,
    raise: (to) => {
      if (to <= value) return;
      value = to;
      for (const waiter of waiters) if (waiter.target <= value) waiter.end(true);
    },
    reached: (target, waitMs) =>
      new Promise((resolve) => {
        if (target <= value) return resolve(true);
        const end = (reached: boolean) => {
          clearTimeout(timer);
          waiters.delete(waiter);
          resolve(reached);
        };
        const timer = setTimeout(() => end(false), waitMs);
        const waiter: Waiter = { target, end };
        waiters.add(waiter);
      }),
  };
};
