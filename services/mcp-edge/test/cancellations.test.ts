import { expect, test } from 'vitest';
import { createCancellations } from '../src/cancellations.ts';

const request = { user: 'U1', mcpSession: 's1', id: 1 };
const untilAborted = (signal: AbortSignal) =>
  new Promise<string>((resolve) => signal.addEventListener('abort', () => resolve('aborted'), { once: true }));

test('aborts the request that is named, and none of another session, user or form of id', async () => {
  const { around, cancel } = createCancellations();
  let heard: AbortSignal | undefined;
  const running = around(request, new AbortController().signal, (signal) => {
    heard = signal;
    return untilAborted(signal);
  });
  for (const other of [{ id: 2 }, { id: '1' }, { user: 'U2' }, { mcpSession: 's2' }]) cancel({ ...request, ...other });
  expect(heard?.aborted).toBe(false);
  cancel(request);
  expect(await running).toBe('aborted');
});

test('aborts with the signal that it was given, and knows nothing of what has ended', async () => {
  const { around, cancel } = createCancellations();
  const stop = new AbortController();
  const running = around(request, stop.signal, untilAborted);
  stop.abort();
  expect(await running).toBe('aborted');
  expect(await around(request, new AbortController().signal, async ({ aborted }) => aborted)).toBe(false);
  cancel(request);
});
