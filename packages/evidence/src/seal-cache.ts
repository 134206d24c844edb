/**
 * Remembers signatures that were verified, so that one Ed25519 verification serves a batch. Only successes are kept,
 * so a forger cannot push anything out; the least recently used goes first.
 */
export interface SealCache {
  has(verified: string): boolean;
  add(verified: string): void;
}

const DEFAULT_MAX_ENTRIES = 4096;

export function createSealCache(maxEntries = DEFAULT_MAX_ENTRIES): SealCache {
  // A Set iterates in order of insertion: the first is the least recently used.
  const entries = new Set<string>();
  let newest: string | undefined;
  const touch = (entry: string): void => {
    entries.delete(entry);
    entries.add(entry);
    newest = entry;
  };
  return {
    has(verified) {
      // The leaves of a batch come one after the other.
      if (verified === newest) return true;
      if (!entries.has(verified)) return false;
      touch(verified);
      return true;
    },
    add(verified) {
      touch(verified);
      if (entries.size <= maxEntries) return;
      for (const oldest of entries) {
        entries.delete(oldest);
        return;
      }
    },
  };
}
