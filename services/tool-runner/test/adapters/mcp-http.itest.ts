import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { createHttpUpstream } from '../../src/adapters/mcp-http.ts';
import type { ListedTool, Listing, Upstream } from '../../src/upstream.ts';
import { until } from '../fixtures/fakes.ts';
import { type HttpBench, startHttp } from '../fixtures/http-server.ts';
import { callOnce, leasedWith, listen, listingWith, quick, type Said, send, textOf } from '../fixtures/servers.ts';

const open: { stop(): Promise<void> }[] = [];
const http = async (...args: Parameters<typeof startHttp>): Promise<HttpBench> => {
  const server = await startHttp(...args);
  open.push(server);
  return server;
};
const connect = async (
  url: string,
  change: { listing?: Listing; said?: Said } = {},
): Promise<{ upstream: Upstream; listed: ListedTool[][] }> => {
  const upstream = createHttpUpstream({
    server: 'crm',
    http: { url },
    inject: { header: 'Authorization', format: 'Bearer {secret}' },
    now: Date.now,
    log: (change.said ?? listen()).log,
    pace: quick,
    listing: change.listing,
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

describe.each(['modern', 'sessions', 'strict'] as const)(
  'a server of kind %s that answers nobody without a credential',
  (mode) => {
    const [mine, theirs] = ['list-s3cret-0123456789', 'call-s3cret-9876543210'];

    test('is listed with a lease of its own, ended after, and each call brings its own', async () => {
      const server = await http(mode, undefined, 0, [mine, theirs]);
      const { listing, given, released } = listingWith(() => mine);
      const { upstream, listed } = await connect(server.url, { listing });
      await until(() => upstream.problem() === undefined, 5_000);
      expect(listed[0]?.map((t) => t.name)).toEqual(['echo', 'slow', 'whoami']);
      expect(released).toEqual(given.map(({ lease }) => lease));
      const before = server.requests.length;
      expect(textOf(await callOnce(upstream, 'whoami', {}, theirs))).toBe(`Bearer ${theirs}`);
      expect(server.requests.slice(before).every((r) => r.authorization === `Bearer ${theirs}`)).toBe(true);
      await expect(callOnce(upstream, 'whoami')).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' });
    });

    test('cannot be used without list_with, and says so', async () => {
      const server = await http(mode, undefined, 0, [mine]);
      const { upstream } = await connect(server.url);
      expect(upstream.problem()).toBe(
        'crm cannot be reached: it answered HTTP 401 to who brings no credential: list_with names one to list its tools with',
      );
    });

    test('brings the secret of its list into no description, no problem and no line of the log', async () => {
      const server = await http(mode, undefined, 0, [mine]);
      const said = listen();
      // The first is refused, and the refusal quotes it.
      const { listing, released } = listingWith((nth) => (nth === 0 ? theirs : mine));
      const { upstream, listed } = await connect(server.url, { listing, said });
      expect(upstream.problem()).toBe(
        'crm cannot be reached: it did not tell its tools to who has the credential of list_with: it answered HTTP 401',
      );
      await expect(callOnce(upstream, 'echo', { text: 'a' }, theirs)).rejects.toMatchObject({
        message: "crm did not take a session with the call's credential",
      });
      await until(() => upstream.problem() === undefined, 5_000);
      expect(listed[0]?.find(({ name }) => name === 'whoami')?.description).toMatch(
        /^Returns its Authorization(, such as Bearer \[redacted\])?\.$/,
      );
      const everything = JSON.stringify([listed, released]) + said.lines.map(spelled).join('\n');
      for (const secret of [mine, theirs]) expect(everything).not.toContain(secret);
    });
  },
);

/** A line of the log with what pino makes of an error. */
const spelled = ({ fields, message }: Said['lines'][0]): string =>
  `${message} ${JSON.stringify(fields)} ${Object.values(fields)
    .map((field) => inspect(field, { depth: 8 }))
    .join()}`;

test('a list that hangs while its lease is ended breaks off', async () => {
  const hanging = createServer(() => {});
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  open.push({ stop: async () => hanging.closeAllConnections() });
  const { listing, given, released } = listingWith(() => 's3cret-0123456789');
  const url = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}/mcp`;
  const upstream = createHttpUpstream({
    server: 'crm',
    http: { url },
    inject: { header: 'Authorization', format: 'Bearer {secret}' },
    listing,
    now: Date.now,
    log: listen().log,
    pace: quick,
  });
  open.push({ stop: () => upstream.close() });
  const started = upstream.start();
  await until(() => given.length === 1);
  expect(released).toEqual([]);
  upstream.forget(given[0]?.lease ?? '');
  await started;
  expect(released).toEqual([given[0]?.lease]);
});
