import { type CallIdentity, covers, type Scope } from '@agentgate/contracts';
import { createRecent } from './recent.ts';

/**
 * What an enforcement point ended when a scope was held, for the order that follows. That may be another one: whoever could not kill a session kills
 * its agent.
 */
export interface Held<T> {
  /** By a key of its own. */
  put(key: string, of: CallIdentity, ended: T): void;
  /** All that the order covers; every such order is told of it. */
  coveredBy(scope: Scope): T[];
}

/**
 * As long as an order may take to be written. Shorter than runners remember what became of their calls: one that ingress alone tells of counts as
 * one that never got there.
 */
const keptMs = 4_000;
const keptMost = 65_536;

/** `now` is monotonic, in milliseconds. */
export const createHeld = <T>(now: () => number): Held<T> => {
  const kept = createRecent<CallIdentity & { ended: T; at: number }>({ keptMs, most: keptMost, now });
  return {
    put: (key, { tenant, agent, session, tool }, ended) =>
      kept.set(key, { tenant, agent, session, tool, ended, at: now() }),
    coveredBy: (scope) => kept.entries().flatMap(([, one]) => (covers(scope, one) ? [one.ended] : [])),
  };
};
