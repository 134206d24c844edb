import { encodeEntry, leafHash, sha256Hex } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createRecentEntries } from '../src/recent-entries.ts';
import { createTestProducer } from './producer.ts';

const producer = createTestProducer('ingress');
const seal = { keyid: 'k', root: 'r', index: 0, size: 1, path: [], sig: 's' };
const entry = (padding = 0) => {
  const { event, text } = producer.beat();
  const encoded = encodeEntry(text, { ...seal, keyid: 'k'.repeat(1 + padding) });
  return { ...encoded, event, eventHash: sha256Hex(text) };
};
/** `count` entries from index `first` on. */
const setUp = (first: number, count: number, padding = 0) => {
  const recent = createRecentEntries();
  const entries = Array.from({ length: count }, () => entry(padding));
  for (const [i, each] of entries.entries()) recent.add(each, first + i);
  return { recent, entries };
};
const indexes = (taken: { index: number }[] | undefined) => taken?.map(({ index }) => index);

test('gives entries in order from where it is asked, as EVIDENCE wants them', () => {
  const { recent, entries } = setUp(7, 4);
  const [first] = entries;
  expect(recent.take(7, 1)).toEqual([
    {
      index: 7,
      leafHash: leafHash(first?.bytes ?? '').toString('hex'),
      body: Buffer.from(first?.bytes ?? ''),
      tenant: 'default',
      type: 'agentgate.producer.heartbeat.v1',
    },
  ]);
  expect(indexes(recent.take(8, 2))).toEqual([8, 9]);
  expect(indexes(recent.take(9, 100))).toEqual([9, 10]);
});

test('has nothing before what was taken last, nor what is yet to come', () => {
  const { recent } = setUp(0, 4);
  expect(indexes(recent.take(2, 1))).toEqual([2]);
  expect([recent.take(1, 9), recent.take(4, 9)]).toEqual([undefined, undefined]);
  recent.add(entry(), 4);
  expect(indexes(recent.take(3, 9))).toEqual([3, 4]);
});

test.each([
  ['many', 2_049, 0],
  ['large', 90, 60_000],
])('forgets the older half where nobody takes what are too %s', (_, count, padding) => {
  const { recent } = setUp(0, count, padding);
  const kept = Array.from({ length: count }, (_, i) => i).find((i) => recent.take(i, 1) !== undefined);
  expect(kept).toBeGreaterThan(30);
  expect(indexes(recent.take(count - 1, 9))).toEqual([count - 1]);
});
