import { afterEach, describe, expect, test } from 'vitest';
import { createHttpUpstream } from '../../src/adapters/mcp-http.ts';
import type { ListedTool, Upstream } from '../../src/upstream.ts';
import { until } from '../fixtures/fakes.ts';
import { type HttpBench, startHttp } from '../fixtures/http-server.ts';
import { callOnce, leasedWith, listen, quick, send, textOf } from '../fixtures/servers.ts';

const open: { stop(): Promise<void> }[] = [];
const http = async (...args: Parameters<typeof startHttp>): Promise<HttpBench> => {
  const server = await startHttp(...args);
  open.push(server);
  return server;
};
const connect = async (url: string): Promise<{ upstream: Upstream; listed: ListedTool[][] }> => {
  const upstream = createHttpUpstream({
    server: 'crm',
    http: { url },
    inject: { header: 'Authorization', format: 'Bearer {secret}' },
    now: Date.now,
    log: listen().log,
    pace: quick,
  });
  open.push({ stop: () => upstream.close() });
  const listed: ListedTool[][] = [];
  upstream.onTools((tools) => void listed.push(tools));
  await upstream.start();
  return { upstream, listed };
};
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});

describe.each(['modern', 'sessions', 'strict'] as const)('a server of kind %s', (mode) => {
  test('lists its tools and answers a call', async () => {
    const { upstream, listed } = await connect((await http(mode)).url);
    await until(() => upstream.problem() === undefined, 5_000);
    expect(listed[0]?.map((t) => t.name)).toEqual(['echo', 'slow', 'whoami']);
    expect(textOf(await callOnce(upstream, 'echo', { text: 'hello' }))).toBe('hello');
  });

  test('hears that a call is cancelled', async () => {
    const server = await http(mode);
    const { upstream } = await connect(server.url);
    await until(() => upstream.problem() === undefined, 5_000);
    const channel = await upstream.prepare({ deadline: Date.now() + 5_000 });
    const slow = send(channel, 'slow', { ms: 5_000 });
    await until(() => server.seen.some((s) => s.event === 'start'));
    slow.stop('cancelled');
    await until(() => server.seen.some((s) => s.event === 'cancel'));
    slow.abandon();
    expect(textOf(await callOnce(upstream, 'echo', { text: 'after' }))).toBe('after');
  });

  test('gets the credential in the header of the one call’s own session, and in no other', async () => {
    const server = await http(mode);
    const { upstream } = await connect(server.url);
    await until(() => upstream.problem() === undefined, 5_000);
    expect(server.requests.every((r) => r.authorization === undefined)).toBe(true);
    const before = server.requests.length;
    expect(textOf(await callOnce(upstream, 'whoami', {}, 's3cret-0123456789'))).toBe('Bearer s3cret-0123456789');
    expect(
      server.requests
        .slice(before)
        .filter((r) => r.method === 'POST')
        .every((r) => r.authorization === 'Bearer s3cret-0123456789'),
    ).toBe(true);
    expect(textOf(await callOnce(upstream, 'whoami'))).toBe('nobody');
  });
});

test('calls to a server that is gone are refused until it is back', async () => {
  const server = await http('sessions');
  const { upstream } = await connect(server.url);
  const channel = await upstream.prepare({ deadline: Date.now() + 5_000 });
  await server.stop();
  // On a connection that was kept open nobody knows how far the request came; on a new one it is known that it did not.
  expect(await send(channel, 'echo', { text: 'a' }).ended).toMatchObject({
    kind: expect.stringMatching(/^(lost|not_sent)$/),
  });
  expect(await send(channel, 'echo', { text: 'a' }).ended).toEqual({
    kind: 'not_sent',
    code: 'UPSTREAM_UNAVAILABLE',
    reason: expect.stringMatching(/^the (tool server cannot be reached|connection to the tool server is closed)$/),
  });
  await until(() => upstream.problem() !== undefined, 5_000);
  await expect(upstream.prepare({ deadline: Date.now() + 1_000 })).rejects.toMatchObject({
    code: 'UPSTREAM_UNAVAILABLE',
  });
  await http('sessions', undefined, Number(new URL(server.url).port));
  await until(() => upstream.problem() === undefined, 5_000);
  expect(textOf(await callOnce(upstream, 'echo', { text: 'back' }))).toBe('back');
});

test('a call whose server dies in the middle is lost', async () => {
  const server = await http('modern');
  const { upstream } = await connect(server.url);
  const channel = await upstream.prepare({ deadline: Date.now() + 5_000 });
  const slow = send(channel, 'slow', { ms: 5_000 });
  await until(() => server.seen.some((s) => s.event === 'start'));
  await server.stop();
  expect(await slow.ended).toMatchObject({ kind: 'lost' });
});

test('follows no redirect, so that the credential goes nowhere else', async () => {
  const elsewhere = await http('modern');
  const server = await http('modern', elsewhere.url);
  const { upstream } = await connect(server.url);
  expect(upstream.problem()).toMatch(/^crm cannot be reached/);
  await expect(
    upstream.prepare({ leased: leasedWith('s3cret-0123456789'), deadline: Date.now() + 2_000 }),
  ).rejects.toMatchObject({
    code: 'UPSTREAM_UNAVAILABLE',
    message: "crm did not take a session with the call's credential",
  });
  expect(elsewhere.requests).toEqual([]);
});
