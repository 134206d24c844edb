import { expect, test, vi } from 'vitest';
import { startRounds } from '../src/rounds.ts';

const log = { warn: () => {} };

test('sweeps at the start and again each round, one at a time', async () => {
  vi.useFakeTimers();
  try {
    let sweeps = 0;
    let release: () => void = () => {};
    const rounds = startRounds({
      broker: {
        sweep: () => {
          sweeps++;
          return new Promise<void>((resolve) => {
            release = resolve;
          });
        },
        reconcile: async () => {},
        revokeKilled: async () => {},
      },
      epoch: () => 0,
      log,
      sweepMs: 100,
    });
    expect(sweeps).toBe(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(sweeps).toBe(1);
    release();
    await vi.advanceTimersByTimeAsync(100);
    expect(sweeps).toBe(2);
    release();
    await rounds.stop();
  } finally {
    vi.useRealTimers();
  }
});

test('ends killed leases once an epoch, and again when that failed', async () => {
  vi.useFakeTimers();
  try {
    let epoch = 1;
    let fail = true;
    const epochs: number[] = [];
    const revokeKilled = async () => {
      epochs.push(epoch);
      if (fail) throw new Error('stale');
    };
    const rounds = startRounds({
      broker: { sweep: async () => {}, reconcile: async () => {}, revokeKilled },
      epoch: () => epoch,
      log,
      killMs: 10,
    });
    await vi.advanceTimersByTimeAsync(20);
    fail = false;
    await vi.advanceTimersByTimeAsync(50);
    epoch = 2;
    await vi.advanceTimersByTimeAsync(50);
    expect(epochs).toEqual([1, 1, 1, 2]);
    await rounds.stop();
  } finally {
    vi.useRealTimers();
  }
});
