import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createRefresher, pace } from '../src/refresher.ts';
import { until } from './fixtures/fakes.ts';

test('hints that come all the time do not put it off', async () => {
  let count = 0;
  const refresher = createRefresher({
    ...pace,
    soonMs: 60,
    refresh: async () => void count++,
    onFailure: () => {},
  });
  await refresher.start();
  const deadline = performance.now() + 1_000;
  while (count < 2 && performance.now() < deadline) {
    refresher.soon();
    await sleep(5);
  }
  expect(count).toBe(2);
  refresher.stop();
});

test('a hint in the middle is heeded after, once', async () => {
  let count = 0;
  const refresher = createRefresher({
    ...pace,
    refresh: async () => {
      count++;
      await sleep(1);
      if (count === 1) for (let i = 0; i < 3; i++) refresher.soon();
    },
    onFailure: () => {},
  });
  await refresher.start();
  await until(() => count === 2);
  await sleep(120);
  expect(count).toBe(2);
  refresher.stop();
});
