import TinyQueue from 'tinyqueue';
import type { Held } from './ports.ts';

/**
 * Alerts that wait or are dead, as the bucket tells them. It may be a moment behind: whether one is tried rests on the bucket's
 * compare-and-set alone.
 */
export interface AlertIndex {
  put(held: Held): void;
  drop(id: string, revision: number): void;
  get(id: string): Held | undefined;
  /** Of one endpoint, or of all; the oldest first. */
  listed(state: 'waiting' | 'dead', endpoint?: string): Held[];
  count(state: 'waiting' | 'dead', endpoint: string): number;
  /** Since when the oldest one waits. */
  oldest(endpoint: string): string | undefined;
  /** The one that is due for longest, without those that are `busy`. */
  due(endpoint: string, now: number, busy: ReadonlySet<string>): Held | undefined;
  /** Of the dead, those that ended before: their records went by themselves. */
  forget(endedBefore: string): void;
  /** Also those that are configured no more. */
  endpoints(): string[];
}

interface Shelf extends Record<'waiting' | 'dead', Map<string, Held>> {
  /** What waits, the one that is due first on top; among them what has changed since, which is passed over when it comes up. */
  queue: TinyQueue<Held>;
}
const dueFirst = ({ record: a }: Held, { record: b }: Held): number =>
  a.next_at < b.next_at ? -1 : a.next_at > b.next_at ? 1 : 0;

export const createAlertIndex = (): AlertIndex => {
  const shelves = new Map<string, Shelf>();
  const shelfOf = (endpoint: string): Shelf => {
    const shelf = shelves.get(endpoint) ?? {
      waiting: new Map(),
      dead: new Map(),
      queue: new TinyQueue<Held>([], dueFirst),
    };
    shelves.set(endpoint, shelf);
    return shelf;
  };
  const find = (id: string): Held | undefined => {
    const shelf = shelves.get(id.slice(0, id.indexOf('/')));
    return shelf?.waiting.get(id) ?? shelf?.dead.get(id);
  };
  const drop = (id: string, revision: number) => {
    const known = find(id);
    if (!known || known.revision > revision) return;
    const shelf = shelfOf(known.record.endpoint);
    shelf.waiting.delete(id);
    shelf.dead.delete(id);
  };
  const all = (state: 'waiting' | 'dead', endpoint?: string): Held[] =>
    [...shelves]
      .filter(([name]) => endpoint === undefined || name === endpoint)
      .flatMap(([, shelf]) => [...shelf[state].values()]);
  return {
    put: (held) => {
      const { record, revision } = held;
      const known = find(record.id);
      if (known && known.revision >= revision) return;
      drop(record.id, revision);
      if (record.state === 'delivered') return;
      const shelf = shelfOf(record.endpoint);
      shelf[record.state].set(record.id, held);
      if (record.state === 'waiting') shelf.queue.push(held);
    },
    drop,
    get: find,
    listed: (state, endpoint) => all(state, endpoint).sort((a, b) => (a.record.since < b.record.since ? -1 : 1)),
    count: (state, endpoint) => shelves.get(endpoint)?.[state].size ?? 0,
    oldest: (endpoint) => {
      let oldest: string | undefined;
      for (const { record } of shelves.get(endpoint)?.waiting.values() ?? [])
        if (oldest === undefined || record.since < oldest) oldest = record.since;
      return oldest;
    },
    due: (endpoint, now, busy) => {
      const shelf = shelves.get(endpoint);
      if (!shelf) return undefined;
      const { queue, waiting } = shelf;
      const until = new Date(now).toISOString();
      const passed: Held[] = [];
      const next = (): Held | undefined => {
        for (let top = queue.peek(); top && top.record.next_at <= until; top = queue.peek()) {
          const isNewest = waiting.get(top.record.id) === top;
          if (isNewest && !busy.has(top.record.id)) return top;
          queue.pop();
          if (isNewest) passed.push(top);
        }
        return undefined;
      };
      const first = next();
      for (const held of passed) queue.push(held);
      return first;
    },
    forget: (endedBefore) => {
      for (const { dead } of shelves.values())
        for (const [id, { record }] of dead) if ((record.ended_at ?? '') < endedBefore) dead.delete(id);
    },
    endpoints: () => [...shelves.keys()],
  };
};
