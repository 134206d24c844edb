// Counters of one party: refusals within a time, and a score that decays. Each is bounded, however much an agent does.

/** As many as an incident names. */
const namedMost = 32;

export interface Tally {
  /** Of the last events that count, the oldest first; milliseconds since the epoch. */
  times: number[];
  /** Their ids; of the newest only. */
  ids: string[];
}
export const emptyTally = (): Tally => ({ times: [], ids: [] });

/** Adds an event; whether there are `count` within the window that ends with it. Clocks of several producers differ: one that is late counts all the same. */
export const tallied = (tally: Tally, event: { id: string; at: number }, count: number, windowMs: number): boolean => {
  tally.times.push(event.at);
  tally.ids.push(event.id);
  const newest = tally.times.reduce((most, time) => Math.max(most, time), event.at);
  // More than `count` can tell nothing more.
  tally.times = tally.times.filter((time) => time > newest - windowMs).slice(-count);
  tally.ids = tally.ids.slice(-Math.min(namedMost, tally.times.length));
  return tally.times.length >= count;
};

export interface Score {
  value: number;
  /** When it had that value. */
  at: number;
  ids: string[];
}
export const emptyScore = (): Score => ({ value: 0, at: 0, ids: [] });
/** Below this nothing is left of it. */
const nothing = 1e-6;

export const scoreAt = ({ value, at }: Score, now: number, halfLifeMs: number): number => {
  const left = value * 2 ** (-Math.max(0, now - at) / halfLifeMs);
  return left < nothing ? 0 : left;
};

/** Adds an event's weight to what is left of the score; whether it reaches the limit. */
export const scored = (
  score: Score,
  event: { id: string; at: number; weight: number },
  { limit, halfLifeMs }: { limit: number; halfLifeMs: number },
): boolean => {
  const left = scoreAt(score, event.at, halfLifeMs);
  score.ids = [...(left === 0 ? [] : score.ids), event.id].slice(-namedMost);
  score.value = left + event.weight;
  score.at = Math.max(score.at, event.at);
  return score.value >= limit;
};
