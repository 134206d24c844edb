import { expect, test, vi } from 'vitest';
import { createStoreWatch } from '../../src/up/store-watch.ts';

const failed =
  '[7617] 2026/11/25 21:46:25.745355 [ERR] Filestore [AUDIT] Critical write error: write /home/nats/jetstream/A/streams/AUDIT/msgs/6.blk: no space left on device';

const setUp = () => {
  let free = 0;
  let restarts = 0;
  const watch = createStoreWatch({
    folder: '/home/nats',
    restart: () => {
      restarts++;
    },
    free: () => free,
    everyMs: 100,
  });
  return {
    watch,
    restarts: () => restarts,
    setFree: (mib: number) => {
      free = mib * 1024 * 1024;
    },
  };
};

test('has nats-server start again once, when there is room after a failed write', () => {
  vi.useFakeTimers();
  const { watch, restarts, setFree } = setUp();
  watch.hear(failed);
  watch.hear(failed);
  setFree(63);
  vi.advanceTimersByTime(1_000);
  expect(restarts()).toBe(0);
  setFree(64);
  vi.advanceTimersByTime(100);
  expect(restarts()).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(restarts()).toBe(1);
  watch.hear(failed);
  vi.advanceTimersByTime(100);
  expect(restarts()).toBe(2);
  vi.useRealTimers();
});

test('leaves nats-server alone while no write failed, and after it was closed', () => {
  vi.useFakeTimers();
  const { watch, restarts, setFree } = setUp();
  setFree(1_000);
  watch.hear('[7617] 2026/11/25 21:46:25.745355 [INF] Server is ready');
  vi.advanceTimersByTime(1_000);
  watch.hear(failed);
  watch.close();
  vi.advanceTimersByTime(1_000);
  expect(restarts()).toBe(0);
  vi.useRealTimers();
});
