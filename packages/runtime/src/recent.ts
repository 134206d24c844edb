/** What was set within the last `keptMs`, by key, and of more than `most` only the newest, or some more. */
export interface Recent<T> {
  set(key: string, value: T): void;
  get(key: string): T | undefined;
  entries(): [string, T][];
}

export interface RecentOptions {
  keptMs: number;
  most: number;
  now: () => number;
}

/** Of the time that something is kept: so much longer it may be held. */
const slicesKept = 5;

interface Slice<T> {
  since: number;
  entries: Map<string, T>;
}

/**
 * In slices of time, of which the oldest is forgotten as a whole: a map that loses its first member at each addition walks over the places of all
 * that it lost before. So a slice more than was asked for is held.
 */
export const createRecent = <T extends { at: number }>({ keptMs, most, now }: RecentOptions): Recent<T> => {
  const sliceMs = keptMs / slicesKept;
  const sliceMost = Math.ceil(most / slicesKept);
  /** The newest last. */
  let slices: Slice<T>[] = [];
  const isKept = (value: T) => now() - value.at <= keptMs;
  const begin = (since: number): Slice<T> => {
    const slice = { since, entries: new Map<string, T>() };
    // The last thing in a slice came when the next one began, or before.
    slices = slices.filter((_, i) => since - (slices[i + 1]?.since ?? since) <= keptMs).concat(slice);
    let size = 0;
    const enough = slices.findLastIndex(({ entries }) => {
      size += entries.size;
      return size >= most;
    });
    if (enough > 0) slices = slices.slice(enough);
    return slice;
  };
  return {
    set: (key, value) => {
      const last = slices.at(-1);
      const isOpen = last && last.entries.size < sliceMost && value.at - last.since <= sliceMs;
      (isOpen ? last : begin(value.at)).entries.set(key, value);
    },
    get: (key) => {
      const value = slices.findLast(({ entries }) => entries.has(key))?.entries.get(key);
      return value && isKept(value) ? value : undefined;
    },
    entries: () => [...new Map(slices.flatMap(({ entries }) => [...entries]))].filter(([, value]) => isKept(value)),
  };
};
