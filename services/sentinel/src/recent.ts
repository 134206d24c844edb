/** A map that holds at most `most` keys: the one that was used longest ago makes room. */
export interface Recent<T> {
  /** Makes it where it is not there. It counts as used. */
  of(key: string): T;
  peek(key: string): T | undefined;
  forget(key: string): void;
  /** The one that was used longest ago comes first. */
  entries(): [string, T][];
  size(): number;
}

export const createRecent = <T>(most: number, make: () => T, entries: Iterable<[string, T]> = []): Recent<T> => {
  const all = new Map(entries);
  return {
    of: (key) => {
      const value = all.get(key) ?? make();
      all.delete(key);
      all.set(key, value);
      if (all.size > most) for (const oldest of all.keys()) if (all.delete(oldest)) break;
      return value;
    },
    peek: (key) => all.get(key),
    forget: (key) => void all.delete(key),
    entries: () => [...all],
    size: () => all.size,
  };
};
