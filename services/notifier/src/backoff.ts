/** So long an alert is tried; the last try is at its very end. */
export const triedForMs = 24 * 3_600_000;
const firstDelayMs = 5_000;
const growth = 3;
const longestDelayMs = 4 * 3_600_000;
/** Receivers that failed together are not all asked again at the same moment. */
const spread = 0.2;

/**
 * When to try again after `tries` failed ones: after 5 s, 15 s, 45 s … then every four hours, each a fifth more or less by `random` (0 to 1).
 * Undefined once the time since `since` is over. All in milliseconds.
 */
export const nextTry = (at: { since: number; tries: number; now: number; random: number }): number | undefined => {
  const end = at.since + triedForMs;
  if (at.now >= end) return undefined;
  const delay = Math.min(longestDelayMs, firstDelayMs * growth ** Math.min(at.tries - 1, 20));
  return Math.min(end, at.now + Math.round(delay * (1 - spread + 2 * spread * at.random)));
};
