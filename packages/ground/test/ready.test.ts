import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { natsReady } from '../src/index.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

test('a clock that is set forward while a server starts does not end the wait for it', async () => {
  let asked = 0;
  const server = createServer((socket) => {
    // At the first try it still starts, and the clock is set.
    if (asked++ === 0) {
      vi.setSystemTime(Date.now() + 3_600_000);
      socket.destroy();
    } else socket.end('INFO {}\r\n');
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  try {
    await natsReady(port, { timeoutMs: 10_000 });
    expect(asked).toBe(2);
  } finally {
    server.close();
  }
});
