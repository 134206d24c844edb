import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ServiceName } from '@agentgate/contracts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { waitReady } from '../../src/up/wait-ready.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

test('a clock that is set forward while services start does not end the wait for them', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    const told = { status: 'ready', service: 'policy', instance: 'i', version: '0', started_at: 't', pid: 7 };
    // At the first question it still starts, and the clock is set.
    if (asked++ === 0) vi.setSystemTime(Date.now() + 3_600_000);
    response.end(JSON.stringify({ ...told, problems: asked === 1 ? ['kill view'] : [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await waitReady({
      ports: { policy: (server.address() as AddressInfo).port } as Record<ServiceName, number>,
      state: (name) => ({ name, pid: 7, ends: 0, lastLines: [] }),
      timeoutMs: 10_000,
      signal: new AbortController().signal,
    });
    expect(asked).toBe(2);
  } finally {
    server.close();
  }
});
