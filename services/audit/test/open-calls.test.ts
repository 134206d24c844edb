import { expect, test } from 'vitest';
import { createOrphanWatch } from '../src/open-calls.ts';

const setUp = () => {
  const reported: number[] = [];
  const state = { firstSeq: 1, lastSeq: 0, now: 100, setBy: 0 };
  const watch = createOrphanWatch({
    backlog: { state: async () => state },
    now: () => state.now + state.setBy,
    monotonic: () => state.now,
    onCaughtUp: (at) => reported.push(at),
  });
  return { reported, state, watch };
};

test('judges a moment once everything that had been published by then is taken', async () => {
  const { reported, state, watch } = setUp();
  await watch.tick();
  state.now = 200;
  await watch.tick();
  expect(reported).toEqual([100]);
});

test('judges nothing while audit lags behind the stream', async () => {
  const { reported, state, watch } = setUp();
  Object.assign(state, { firstSeq: 5, lastSeq: 20 });
  await watch.tick();
  for (const [now, firstSeq] of [
    [200, 6],
    [300, 20],
  ] as const) {
    Object.assign(state, { now, firstSeq, lastSeq: 30 });
    await watch.tick();
  }
  expect(reported).toEqual([]);
  Object.assign(state, { now: 400, firstSeq: 21 });
  await watch.tick();
  expect(reported).toEqual([100]);
});

test.each([3_600_000, -3_600_000])(
  'judges no call by a clock that was set by %i ms meanwhile, until those of before have ended',
  async (setBy) => {
    const { reported, state, watch } = setUp();
    await watch.tick();
    Object.assign(state, { now: 1_100, setBy });
    await watch.tick();
    state.now = 601_000;
    await watch.tick();
    expect(reported).toEqual([]);
    state.now = 601_200;
    await watch.tick();
    expect(reported).toEqual([601_000 + setBy]);
  },
);
