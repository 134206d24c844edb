import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startWatch, type Watch } from '../../src/engine/watch.ts';

let watch: Watch | undefined;
beforeEach(() => vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => {
  watch?.stop();
  vi.useRealTimers();
});

/** How long until it counts as hung, when its thread gets `share` of the processor and an evaluation takes `eachMs`. */
const hungAfter = async ({ share, eachMs }: { share: number | undefined; eachMs: number }) => {
  const begun = performance.now();
  let hungAt: number | undefined;
  watch = startWatch({
    cutOffMs: 60,
    at: () => String(Math.floor((performance.now() - begun) / eachMs)),
    spentMs: () => Promise.resolve(share === undefined ? undefined : (performance.now() - begun) * share),
    onHung: () => {
      hungAt = performance.now() - begun;
    },
  });
  for (let i = 0; i < 300 && hungAt === undefined; i++) await vi.advanceTimersByTimeAsync(10);
  return hungAt;
};
const forever = 1e9;

test('hung after the cut-off when it had the processor', async () => {
  expect(await hungAfter({ share: 1, eachMs: forever })).toBe(80);
});
test('waits for a thread that gets a fifth of the processor', async () => {
  expect(await hungAfter({ share: 0.2, eachMs: forever })).toBe(200);
});
test('not without an end for one that gets nothing, or does not tell', async () => {
  expect(await hungAfter({ share: 0, eachMs: forever })).toBe(1_220);
  expect(await hungAfter({ share: undefined, eachMs: forever })).toBe(1_220);
});
test('never while evaluations end in time', async () => {
  expect(await hungAfter({ share: 1, eachMs: 50 })).toBeUndefined();
});
