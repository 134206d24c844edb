import type { StreamMessage } from '@agentgate/bus';
import { checkpointSubject } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import type { Position } from '../src/adapters/position-bucket.ts';
import { startFeed } from '../src/feed.ts';
import { emptyState } from '../src/watch-state.ts';
import { createScene } from './fixtures.ts';

const lifted = 'evidence.v1._.agentgate.kill.lifted.v1';
/** An entry, or a checkpoint that covers as much. */
const message = (seq: number, subject: string, index = seq * 10): StreamMessage => ({
  subject,
  seq,
  time: '2026-03-01T12:00:00Z',
  data: Buffer.from(`test.local/log\n${index + 1}\n${root}\n\n— test.local/log ${root}\n`),
  header: (name) => (name === 'Ag-Index' && subject === lifted ? String(index) : undefined),
});
const root = Buffer.alloc(32).toString('base64');

type Arrive = (seq: number, subject?: string, index?: number) => void;
/** A feed that has read up to 5, and whatever the leader answers next. `at5`: the entry that stands there, if any does. */
const feedAt5 = async (
  answer: (arrive: Arrive) => number,
  { stands = 0, at5 = () => undefined }: { stands?: number; at5?: () => number | undefined } = {},
) => {
  const broken: string[] = [];
  const saved: Position[] = [];
  let arrive: Arrive = () => {};
  let isStart = true;
  const feed = await startFeed({
    bus: {
      streamInfo: async () => {
        const lastSeq = isStart ? 5 : answer(arrive);
        isStart = false;
        return { lastSeq, firstSeq: at5() === undefined ? 6 : 5 } as never;
      },
      lastMessage: async (_stream, subject) =>
        subject === lifted && stands > 0 ? { ...message(stands, lifted) } : undefined,
      messageAt: async (_stream, seq) => {
        const index = seq === 5 ? at5() : undefined;
        return index === undefined ? undefined : message(seq, lifted, index);
      },
      follow: async (_stream, { subjects, onMessage }) => {
        expect(subjects).toEqual([lifted, checkpointSubject]);
        arrive = (seq, subject = checkpointSubject, index?) => onMessage(message(seq, subject, index));
        return { lastSeq: () => 5, pending: async () => 0, close: async () => {} };
      },
    },
    positions: { save: async (position) => void saved.push(position) },
    from: 5,
    watch: createScene({}, emptyState(50)).watch,
    reader: { subjects: [lifted], read: () => undefined },
    log: { info: () => {}, warn: () => {}, error: () => {}, debug: () => {} } as never,
    onPending: () => {},
    onRefused: () => {},
    broken: (why) => broken.push(why),
  });
  await feed.tick();
  return { feed, broken, saved };
};

test('goes on where messages come while the leader answers how far the stream is', async () => {
  const { feed, broken } = await feedAt5((arrive) => {
    arrive(6);
    arrive(7);
    return 5;
  });
  expect(broken).toEqual([]);
  expect(feed.behind()).toBe(0);
});

test('writes down how far it is where nothing came that a rule asks for', async () => {
  const { saved } = await feedAt5((arrive) => {
    arrive(6);
    arrive(7);
    return 7;
  });
  expect(saved.map(({ seq, state }) => [seq, state.index])).toEqual([[7, 70]]);
});

test('writes down how far it is where an entry came last', async () => {
  const { saved } = await feedAt5((arrive) => {
    arrive(6);
    arrive(7, lifted);
    return 7;
  });
  expect(saved.map(({ seq, state }) => [seq, state.index])).toEqual([[7, 70]]);
});

test('has caught up once all that a rule asks for was read, whatever else stands behind it', async () => {
  const { feed } = await feedAt5(
    (arrive) => {
      arrive(6, lifted);
      return 9;
    },
    { stands: 6 },
  );
  expect(feed.caughtUp()).toBe(true);
});

test('has not caught up while something that a rule asks for stands unread', async () => {
  const { feed } = await feedAt5(() => 6, { stands: 6 });
  expect(feed.caughtUp()).toBe(false);
});

test('is broken where the stream ends before what was read', async () => {
  const { broken } = await feedAt5(() => 4);
  expect(broken).toEqual(['EVIDENCE ends at 4, and was read to 5']);
});

const written = (before: number, seq: number) => [
  `EVIDENCE was written anew: entries after ${before} stand before ${seq}, where it was read already`,
];

test('goes on where the log is further by the entries that stand between two that were read', async () => {
  const { broken, saved } = await feedAt5(
    (arrive) => {
      arrive(8, lifted, 53);
      arrive(9, checkpointSubject, 53);
      arrive(11, lifted, 55);
      arrive(12, checkpointSubject, 55);
      arrive(14, checkpointSubject, 56);
      return 14;
    },
    { at5: () => 50 },
  );
  expect(broken).toEqual([]);
  expect(saved.map(({ seq, state }) => [seq, state.index])).toEqual([[14, 56]]);
});

test.each<[string, (arrive: Arrive) => void, number, number]>([
  ['an entry comes', (arrive) => arrive(6, lifted, 52), 50, 6],
  ['a checkpoint comes', (arrive) => arrive(7, checkpointSubject, 52), 50, 7],
  [
    'an entry comes behind others',
    (arrive) => {
      arrive(6, lifted, 51);
      arrive(7, checkpointSubject, 51);
      arrive(8, lifted, 53);
    },
    51,
    8,
  ],
])('is broken where %s and the log is further than what stands in between', async (_, come, before, seq) => {
  const { broken, saved } = await feedAt5(
    (arrive) => {
      come(arrive);
      return 9;
    },
    { at5: () => 50 },
  );
  expect([...new Set(broken)]).toEqual(written(before, seq));
  for (const { state } of saved) expect(state.index).toBeLessThanOrEqual(before);
});

test('is broken where nothing comes and the entry that was read last is another one', async () => {
  let at5 = 50;
  const { broken, saved } = await feedAt5(
    () => {
      at5 = 51;
      return 5;
    },
    { at5: () => at5 },
  );
  expect(broken).toEqual(written(50, 5));
  expect(saved).toEqual([]);
});

test('goes on where the log goes back, for what comes again was counted', async () => {
  const { broken } = await feedAt5(
    (arrive) => {
      arrive(6, lifted, 44);
      arrive(7, lifted, 45);
      return 7;
    },
    { at5: () => 50 },
  );
  expect(broken).toEqual([]);
});
