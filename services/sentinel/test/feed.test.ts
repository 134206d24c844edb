import type { StreamMessage } from '@agentgate/bus';
import { checkpointSubject } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import type { Position } from '../src/adapters/position-bucket.ts';
import { startFeed } from '../src/feed.ts';
import { createScene } from './fixtures.ts';

const heartbeat = 'evidence.v1._.agentgate.producer.heartbeat.v1';
/** Of no interest. A checkpoint is no entry, and has no index. */
const message = (seq: number, subject: string): StreamMessage => ({
  subject,
  seq,
  time: '2026-03-01T12:00:00Z',
  data: new Uint8Array(),
  header: (name) => (name === 'Ag-Index' && subject === heartbeat ? String(seq * 10) : undefined),
});

/** A feed that has read up to 5, and whatever the leader answers next. */
const feedAt5 = async (answer: (arrive: (seq: number, subject?: string) => void) => number) => {
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
      follow: async (_stream, { onMessage }) => {
        arrive = (seq, subject = heartbeat) => onMessage(message(seq, subject));
        return { lastSeq: () => 5, close: async () => {} };
      },
    },
    positions: { save: async (position) => void saved.push(position) },
    from: 5,
    watch: createScene({}).watch,
    reader: { isOfInterest: () => false, read: () => expect.fail('an entry of no interest was opened') },
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

test('writes down how far it is where a checkpoint came last, as behind every batch of entries', async () => {
  const { saved } = await feedAt5((arrive) => {
    arrive(6);
    arrive(7, checkpointSubject);
    return 7;
  });
  expect(saved.map(({ seq, state }) => [seq, state.index])).toEqual([[7, 60]]);
});

test('is broken where the stream ends before what was read', async () => {
  const { broken } = await feedAt5(() => 4);
  expect(broken).toEqual(['EVIDENCE ends at 4, and was read to 5']);
});
