import type { StreamMessage } from '@agentgate/bus';
import { checkpointSubject } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import type { Position } from '../src/adapters/position-bucket.ts';
import { startFeed } from '../src/feed.ts';
import { createScene } from './fixtures.ts';

const lifted = 'evidence.v1._.agentgate.kill.lifted.v1';
/** The entry at `seq` has index `seq * 10`; a checkpoint there covers as much. */
const message = (seq: number, subject: string): StreamMessage => ({
  subject,
  seq,
  time: '2026-03-01T12:00:00Z',
  data: Buffer.from(`test.local/log\n${seq * 10 + 1}\n${root}\n\n— test.local/log ${root}\n`),
  header: (name) => (name === 'Ag-Index' && subject === lifted ? String(seq * 10) : undefined),
});
const root = Buffer.alloc(32).toString('base64');

/** A feed that has read up to 5, and whatever the leader answers next. */
const feedAt5 = async (answer: (arrive: (seq: number, subject?: string) => void) => number, stands = 0) => {
  const broken: string[] = [];
  const saved: Position[] = [];
  let arrive: (seq: number, subject?: string) => void = () => {};
  let isStart = true;
  const feed = await startFeed({
    bus: {
      streamInfo: async () => {
        const lastSeq = isStart ? 5 : answer(arrive);
        isStart = false;
        return { lastSeq } as never;
      },
      lastMessage: async (_stream, subject) =>
        subject === lifted && stands > 0 ? { ...message(stands, lifted) } : undefined,
      follow: async (_stream, { subjects, onMessage }) => {
        expect(subjects).toEqual([lifted, checkpointSubject]);
        arrive = (seq, subject = checkpointSubject) => onMessage(message(seq, subject));
        return { lastSeq: () => 5, pending: async () => 0, close: async () => {} };
      },
    },
    positions: { save: async (position) => void saved.push(position) },
    from: 5,
    watch: createScene({}).watch,
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
  const { feed } = await feedAt5((arrive) => {
    arrive(6, lifted);
    return 9;
  }, 6);
  expect(feed.caughtUp()).toBe(true);
});

test('has not caught up while something that a rule asks for stands unread', async () => {
  const { feed } = await feedAt5(() => 6, 6);
  expect(feed.caughtUp()).toBe(false);
});

test('is broken where the stream ends before what was read', async () => {
  const { broken } = await feedAt5(() => 4);
  expect(broken).toEqual(['EVIDENCE ends at 4, and was read to 5']);
});
