import type { NewEntry } from './log-store.ts';
import type { LogEntry } from './publisher.ts';

/** The newest entries in memory: EVIDENCE mostly wants what was appended a moment ago, and need not have it read back. */
export interface RecentEntries {
  /** An entry took its place in the tree. */
  add(entry: NewEntry, index: number): void;
  /** From `index` on, in order, without a hole; undefined where the first of them is not here any more. Those before it go. */
  take(index: number, limit: number): LogEntry[] | undefined;
}

/** More than one checkpoint covers; when EVIDENCE is further behind, it reads from disk what was dropped here. */
const maxEntries = 2_048;
const maxBytes = 4 * 1024 * 1024;

export const createRecentEntries = (): RecentEntries => {
  let first = 0;
  const entries: LogEntry[] = [];
  let bytes = 0;
  const drop = (count: number) => {
    for (const { body } of entries.splice(0, count)) bytes -= body.length;
    first += count;
  };
  return {
    add: ({ bytes: body, leafHash, event }, index) => {
      if (entries.length === 0) first = index;
      const hex = Buffer.from(leafHash.buffer, leafHash.byteOffset, leafHash.length).toString('hex');
      entries.push({ index, leafHash: hex, body, tenant: event.tenant ?? null, type: event.type });
      bytes += body.length;
      if (entries.length > maxEntries || bytes > maxBytes) drop(Math.ceil(entries.length / 2));
    },
    take: (index, limit) => {
      if (index < first || index >= first + entries.length) return undefined;
      drop(index - first);
      return entries.slice(0, limit);
    },
  };
};
