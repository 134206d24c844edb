import type { AlertRecord } from '@agentgate/contracts';
import type { AlertIndex } from './alert-index.ts';
import { nextTry } from './backoff.ts';
import type { Counts, Held, Log, Outcome, Records, Send } from './ports.ts';

export interface CourierOptions {
  endpoints: ReadonlySet<string>;
  records: Records;
  index: AlertIndex;
  send: Send;
  now: () => number;
  /** 0 to 1. */
  random: () => number;
  counts: Pick<Counts, 'tried'>;
  log: Log;
}

/** Tries what is due. Each endpoint has slots of its own: one that hangs holds up nobody else. */
export interface Courier {
  /** Starts what is due, as far as there are slots; more follows as they become free. */
  wake(): void;
  /** Resolves when nothing is on its way. */
  settled(): Promise<void>;
  /** Starts nothing new and breaks off what is on its way: that is tried again after the next start. */
  close(): Promise<void>;
}

const slots = 4;
/** Longer than any try takes: until then another replica leaves alone what one has begun. */
const claimMs = 20_000;
const maxProblem = 512;
/** Of an endpoint's failures in a row, the first and every so many are logged: each alert's own is in its record. */
const toldEvery = 1_000;

export const createCourier = (opts: CourierOptions): Courier => {
  const { endpoints, records, index, now, log } = opts;
  const closing = new AbortController();
  const busy = new Map<string, Set<string>>();
  const failures = new Map<string, number>();
  const running = new Set<Promise<void>>();
  const iso = (ms: number) => new Date(ms).toISOString();

  /** Writes a change; undefined when somebody else was first, and then the index has what they wrote. */
  const write = async ({ record: before, revision }: Held, change: Partial<AlertRecord>): Promise<Held | undefined> => {
    const { problem: _, ...rest } = before;
    const record = { ...rest, ...change };
    const written = await records.update(record, revision);
    if (written !== 'conflict') {
      index.put({ record, revision: written });
      return { record, revision: written };
    }
    const there = await records.read(record.id);
    if (there) index.put(there);
    else index.drop(record.id, Number.MAX_SAFE_INTEGER);
    return undefined;
  };
  const giveUp = async (held: Held, problem: string) => {
    const dead = await write(held, { state: 'dead', ended_at: iso(now()), problem: problem.slice(0, maxProblem) });
    if (dead)
      log.error(
        { alert: held.record.id, type: held.record.type, tries: held.record.tries, problem },
        'an alert was given up',
      );
  };
  const settle = async (claimed: Held, outcome: Outcome) => {
    const { id, endpoint, since, tries } = claimed.record;
    opts.counts.tried(endpoint, outcome.ok ? 'delivered' : 'failed');
    const failed = outcome.ok ? 0 : (failures.get(endpoint) ?? 0) + 1;
    failures.set(endpoint, failed);
    if (outcome.ok) return void (await write(claimed, { state: 'delivered', ended_at: iso(now()) }));
    const next = nextTry({ since: Date.parse(since), tries, now: now(), random: opts.random() });
    if (outcome.gone || next === undefined) return giveUp(claimed, outcome.problem);
    const problem = outcome.problem.slice(0, maxProblem);
    if (failed % toldEvery === 1)
      log.warn({ alert: id, tries, problem, next_at: iso(next), failed }, 'an alert was not delivered yet');
    await write(claimed, { next_at: iso(next), problem });
  };
  /** The try is written down before it is made: whoever dies in the middle leaves it to be made again, with the same id. */
  const attempt = async (held: Held) => {
    const { id, endpoint, body, tries } = held.record;
    if (!endpoints.has(endpoint)) return giveUp(held, `agentgate.yaml names no endpoint ${endpoint}`);
    const claimed = await write(held, {
      tries: tries + 1,
      next_at: iso(now() + claimMs),
      problem: 'nobody wrote down how the last try ended',
    });
    if (!claimed) return;
    const outcome = await opts.send(endpoint, { id, body }, closing.signal);
    if (outcome.ok || !closing.signal.aborted) await settle(claimed, outcome);
  };

  const busyAt = (endpoint: string): Set<string> => {
    const ids = busy.get(endpoint) ?? new Set();
    busy.set(endpoint, ids);
    return ids;
  };
  const fill = (endpoint: string) => {
    const ids = busyAt(endpoint);
    while (ids.size < slots && !closing.signal.aborted) {
      const held = index.due(endpoint, now(), ids);
      if (!held) return;
      start(held, ids);
    }
  };
  const start = (held: Held, ids: Set<string>) => {
    const { id, endpoint } = held.record;
    ids.add(id);
    const work: Promise<void> = attempt(held)
      .then(
        () => true,
        (error: unknown) => {
          // Not tried again at once: a bucket that does not answer would be asked without end.
          log.warn({ err: error, alert: id }, 'the record of an alert cannot be written');
          return false;
        },
      )
      .then((good) => {
        ids.delete(id);
        running.delete(work);
        if (good) fill(endpoint);
      });
    running.add(work);
  };
  const settled = async () => {
    while (running.size > 0) await Promise.all(running);
  };
  return {
    wake: () => {
      for (const endpoint of index.endpoints()) fill(endpoint);
    },
    settled,
    close: async () => {
      closing.abort();
      await settled();
    },
  };
};
