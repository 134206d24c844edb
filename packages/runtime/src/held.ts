import { type Scope, scopeKey } from '@agentgate/contracts';

/** What an enforcement point ended when a scope was held, until the order that follows is told of it. */
export interface Held<T> {
  put(scope: Scope, ended: T): void;
  /** Gives each but once. */
  take(scope: Scope): T[];
}

/** As long as an order may take to be written. One that was not given by then is told of nothing. */
const keptMs = 5_000;
const keptMost = 1_024;

/** `now` is monotonic, in milliseconds. */
export const createHeld = <T>(now: () => number): Held<T> => {
  let kept: { key: string; ended: T; until: number }[] = [];
  return {
    put: (scope, ended) => {
      kept = kept.filter(({ until }) => until > now()).slice(1 - keptMost);
      kept.push({ key: scopeKey(scope), ended, until: now() + keptMs });
    },
    take: (scope) => {
      const key = scopeKey(scope);
      const taken = kept.filter((one) => one.key === key && one.until > now());
      kept = kept.filter((one) => one.key !== key);
      return taken.map(({ ended }) => ended);
    },
  };
};
