import { expect, test } from 'vitest';
import { createFreshness } from '../src/freshness.ts';
import { createFakeClock } from './fakes.ts';

const setUp = () => {
  const clock = createFakeClock();
  const at = { epoch: 0 };
  return { clock, at, freshness: createFreshness({ epoch: () => at.epoch, monotonic: clock.monotonic }) };
};

test('stale until the leader vouched once', () => {
  const { freshness } = setUp();
  expect(freshness.stale()).toBe(true);
  freshness.vouch(0, 0);
  expect(freshness.stale()).toBe(false);
});

test('stale when nobody vouched for more than 3 s', () => {
  const { freshness, clock } = setUp();
  freshness.vouch(0, 0);
  clock.pass(3_000);
  expect(freshness.stale()).toBe(false);
  clock.pass(1);
  expect(freshness.stale()).toBe(true);
});

test('a voucher for an epoch that was not followed yet counts only once it was, from when it was asked', () => {
  const { freshness, clock, at } = setUp();
  freshness.vouch(5, 0);
  expect(freshness.stale()).toBe(true);
  clock.pass(2_000);
  at.epoch = 5;
  expect(freshness.stale()).toBe(false);
  clock.pass(1_001);
  expect(freshness.stale()).toBe(true);
});
