/** What was set within the last `keptMs`, by key, and of more than `most` only the newest. */
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

/**
 * In two generations, of which the older is forgotten as a whole: a map that loses its first member at each addition walks over the places of all
 * that it lost before. So up to twice as many are held.
 */
export const createRecent = <T extends { at: number }>({ keptMs, most, now }: RecentOptions): Recent<T> => {
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  let turned = now();
  const isKept = (value: T) => now() - value.at <= keptMs;
  return {
    set: (key, value) => {
      if (young.size >= most || value.at - turned > keptMs) {
        old = young;
        young = new Map();
        turned = value.at;
      }
      young.set(key, value);
    },
    get: (key) => {
      const value = young.get(key) ?? old.get(key);
      return value && isKept(value) ? value : undefined;
    },
    entries: () => [...new Map([...old, ...young])].filter(([, value]) => isKept(value)),
  };
};
