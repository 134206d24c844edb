import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import {
  createPublisher,
  type EvidenceStream,
  type LogEntry,
  type LogMismatch,
  type Publisher,
} from '../src/publisher.ts';

const hashOf = (index: number) => Buffer.alloc(32, index % 251).toString('hex');
const entryAt = (index: number): LogEntry => ({
  index,
  leafHash: hashOf(index),
  body: Buffer.from(`entry ${index}`),
  tenant: null,
  type: 't',
});

/** A log of `size` entries. */
const createSource = (size: number) => {
  let published = { size, note: `of ${size}` };
  return {
    grow: (by: number) => {
      published = { size: published.size + by, note: `of ${published.size + by}` };
    },
    published: () => published,
    entries: async (index: number, limit: number) =>
      Array.from({ length: Math.max(0, Math.min(limit, published.size - index)) }, (_, i) => entryAt(index + i)),
  };
};

/** A stream that compares the expected sequence as the server does. `fault` may lose a message, or store it and fail all the same. */
const createStream = (fault: (index: number) => 'lost' | 'stored but errored' | undefined = () => undefined) => {
  /** Entries by their index, checkpoints by their note. */
  const all: (number | string)[] = [];
  const stored = () => all.filter((each) => typeof each === 'number');
  let most = 0;
  let inFlight = 0;
  const stream: EvidenceStream = {
    last: async () => {
      const index = stored().at(-1);
      return {
        lastSeq: all.length,
        ...(index !== undefined && { entry: { index, leafHash: hashOf(index) } }),
      };
    },
    publish: async ({ entries, note }, lastSeq) => {
      inFlight += entries.length;
      most = Math.max(most, inFlight);
      let isWhole = true;
      for (const [i, { index }] of entries.entries()) {
        const wrong = fault(index);
        const accepted = wrong !== 'lost' && lastSeq + i === all.length;
        if (accepted) all.push(index);
        if (!accepted || wrong) isWhole = false;
      }
      await sleep(0);
      inFlight -= entries.length;
      if (note !== undefined && lastSeq + entries.length === all.length) all.push(note);
      if (!isWhole) throw new Error('not acknowledged');
      return all.length;
    },
  };
  return { all, stored, stream, most: () => most };
};

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);
const until = (test: () => boolean) => vi.waitFor(() => expect(test()).toBe(true), { timeout: 2_000, interval: 5 });
let open: Publisher | undefined;
afterEach(() => open?.close(20));
const start = (
  source: ReturnType<typeof createSource>,
  stream: EvidenceStream,
  onMismatch: (error: LogMismatch) => void = (error) => expect.fail(error.message),
) => {
  open = createPublisher({ source, stream, log: { warn: () => {} }, onMismatch, inFlight: 16, retryMs: 1 });
  return open;
};

test('publishes the whole log in order, and what is appended later', async () => {
  const [source, { all, stored, stream, most }] = [createSource(100), createStream()];
  const publisher = start(source, stream);
  await until(() => all.includes('of 100'));
  source.grow(20);
  expect(publisher.behind()).toBe(20);
  publisher.wake();
  await until(() => all.includes('of 120'));
  expect(stored()).toEqual(upTo(120));
  expect(all.filter((each) => typeof each === 'string')).toEqual(['of 100', 'of 120']);
  expect(all.indexOf('of 100')).toBe(100);
  expect(most()).toBe(16);
});

test('goes on after the last entry in the stream', async () => {
  const [source, { all, stored, stream }] = [createSource(10), createStream()];
  all.push(0, 1, 2, 3);
  start(source, stream);
  await until(() => stored().length === 10);
  expect(stored()).toEqual(upTo(10));
});

test.each(['lost', 'stored but errored'] as const)(
  'leaves neither hole nor repeat when a message is %s',
  async (fault) => {
    const failed = new Set<number>();
    const { stored, stream } = createStream((index) => {
      if (index % 7 !== 3 || failed.has(index)) return undefined;
      failed.add(index);
      return fault;
    });
    start(createSource(60), stream);
    await until(() => stored().length >= 60);
    expect(stored()).toEqual(upTo(60));
  },
);

test('publishes again what a crash of the server took from the end', async () => {
  const [source, { all, stored, stream }] = [createSource(30), createStream()];
  const publisher = start(source, stream);
  await until(() => publisher.behind() === 0);
  all.length = 12;
  publisher.resync();
  await until(() => stored().length === 30);
  expect(stored()).toEqual(upTo(30));
});

test.each([
  ['has entries that the log does not have', 5, 9, 'has only 5 entries'],
  ['has another entry in a place of the log', 5, 2, 'the log has another one there'],
])('reports a mismatch and publishes nothing when the stream %s', async (_, size, index, reason) => {
  const { stored, stream } = createStream();
  const forged: EvidenceStream = {
    ...stream,
    last: async () => ({ lastSeq: 1, entry: { index, leafHash: 'ff'.repeat(32) } }),
  };
  const mismatch = await new Promise<LogMismatch>((resolve) => start(createSource(size), forged, resolve));
  expect(mismatch.message).toContain(`EVIDENCE holds entry ${index}`);
  expect(mismatch.message).toContain(reason);
  expect(stored()).toEqual([]);
});

test('publishes what is left when it is closed', async () => {
  const [source, { stored, stream }] = [createSource(200), createStream()];
  await start(source, stream).close(1_000);
  expect(stored()).toEqual(upTo(200));
});

test('closes in time when the stream does not answer', async () => {
  const stream: EvidenceStream = { last: () => new Promise(() => {}), publish: () => new Promise(() => {}) };
  const started = performance.now();
  await start(createSource(1), stream).close(50);
  expect(performance.now() - started).toBeLessThan(1_000);
});
