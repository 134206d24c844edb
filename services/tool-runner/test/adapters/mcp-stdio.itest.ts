import { afterEach, expect, test } from 'vitest';
import { until } from '../fixtures/fakes.ts';
import {
  type Bench,
  callOnce,
  isAlive,
  leasedWith,
  listingWith,
  send,
  startStdio,
  stdioServer,
  textOf,
} from '../fixtures/servers.ts';

let bench: Bench | undefined;
const start = async (...args: Parameters<typeof startStdio>) => {
  bench = await startStdio(...args);
  return bench;
};
afterEach(async () => {
  await bench?.stop();
  bench = undefined;
});

test('lists the tools of a server and calls one', async () => {
  const { upstream, listed } = await start();
  expect(upstream.problem()).toBeUndefined();
  expect(listed[0]?.find((t) => t.name === 'echo')).toEqual({
    name: 'echo',
    description: 'Returns its text.',
    inputSchema: {
      type: 'object',
      properties: { text: { type: 'string' } },
      required: ['text'],
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true },
  });
  expect(textOf(await callOnce(upstream, 'echo', { text: 'hello' }))).toBe('hello');
});

test('gives a server PATH, a home of its own and what is configured, and nothing of our environment', async () => {
  process.env.AGENTGATE_TEST_SECRET = 'must not get there';
  const { upstream, dir } = await start();
  delete process.env.AGENTGATE_TEST_SECRET;
  const env = JSON.parse(textOf(await callOnce(upstream, 'env')));
  expect(Object.keys(env).sort()).toEqual(['HOME', 'NOTES', 'PATH']);
  expect(env.HOME).toBe(`${dir}/fixture`);
});

test('starts no shell', async () => {
  const { upstream, said } = await start({
    stdio: { command: `${process.execPath} ${stdioServer}; true`, args: [], env: {} },
  });
  expect(upstream.problem()).toMatch(/^fixture cannot be reached: .*ENOENT/);
  expect(said.lines.some((l) => l.message === 'a tool server cannot be reached')).toBe(true);
  await expect(upstream.prepare({ deadline: Date.now() + 1_000 })).rejects.toMatchObject({
    code: 'UPSTREAM_UNAVAILABLE',
  });
});

test('tells of a call in flight that it is lost when the process dies, and starts the process again', async () => {
  const { upstream, notes } = await start();
  const channel = await upstream.prepare({ deadline: Date.now() + 5_000 });
  const slow = send(channel, 'slow', { ms: 5_000 });
  expect(await callOnce(upstream, 'crash')).toEqual({
    kind: 'lost',
    reason: 'the connection to the tool server broke; it may have run the call',
  });
  expect(await slow.ended).toMatchObject({ kind: 'lost' });
  await until(() => upstream.problem() === undefined, 5_000);
  expect(textOf(await callOnce(upstream, 'echo', { text: 'again' }))).toBe('again');
  expect(notes().filter((n) => n.event === 'up')).toHaveLength(2);
});

test('cancels at the server, once, and hears what still comes', async () => {
  const { upstream, notes } = await start();
  const channel = await upstream.prepare({ deadline: Date.now() + 5_000 });
  const stubborn = send(channel, 'stubborn', { ms: 5_000 });
  stubborn.stop('cancelled');
  expect(textOf(await stubborn.ended)).toBe('slept');
  const slow = send(channel, 'slow', { ms: 5_000 });
  slow.stop('cancelled');
  slow.abandon();
  expect(textOf(await callOnce(upstream, 'echo', { text: 'after' }))).toBe('after');
  expect(
    notes()
      .filter((n) => n.event === 'cancel')
      .map((n) => n.tool),
  ).toEqual(['stubborn', 'slow']);
});

test('a protocol error is the tool’s own error', async () => {
  const { upstream } = await start();
  expect(await callOnce(upstream, 'fail')).toEqual({ kind: 'error', reason: expect.stringContaining('no such row') });
});

test('skips lines that are no messages', async () => {
  const { upstream } = await start();
  expect(textOf(await callOnce(upstream, 'garbage'))).toBe('after garbage');
});

test('ends a process that sends a message without bound', async () => {
  const { upstream } = await start();
  expect(await callOnce(upstream, 'big', { bytes: 9 * 1024 * 1024 })).toMatchObject({ kind: 'lost' });
  await until(() => upstream.problem() === undefined, 5_000);
});

test('takes a burst of calls at once', async () => {
  const warned: string[] = [];
  const onWarning = (warning: Error) => void warned.push(warning.message);
  process.on('warning', onWarning);
  const { upstream } = await start();
  const channel = await upstream.prepare({ deadline: Date.now() + 10_000 });
  const text = 'x'.repeat(1_000);
  const ends = await Promise.all(Array.from({ length: 1_000 }, () => send(channel, 'echo', { text }).ended));
  expect(ends.every((end) => textOf(end) === text)).toBe(true);
  process.off('warning', onWarning);
  expect(warned).toEqual([]);
});

test('lists again when the server tells that its tools changed', async () => {
  const { upstream, listed } = await start();
  await callOnce(upstream, 'grow');
  await until(() => listed.length > 1, 5_000);
  expect(listed.at(-1)?.at(-1)?.name).toMatch(/^grown-/);
});

test('ends the process and all that it started when it closes', async () => {
  const { upstream, notes, stop } = await start();
  const grandchild = Number(textOf(await callOnce(upstream, 'child')));
  const pid = notes().find((n) => n.event === 'up')?.pid ?? 0;
  expect([isAlive(pid), isAlive(grandchild)]).toEqual([true, true]);
  await stop();
  bench = undefined;
  await until(() => !isAlive(pid) && !isAlive(grandchild));
});

test('a credential lives in a process of its own, which ends with the call and whose words are not logged', async () => {
  const { upstream, notes, said } = await start({ inject: { env: 'API_KEY', format: 'key={secret}' } });
  expect(JSON.parse(textOf(await callOnce(upstream, 'env', {}, 's3cret-0123456789'))).API_KEY).toBe(
    'key=s3cret-0123456789',
  );
  expect(JSON.parse(textOf(await callOnce(upstream, 'env'))).API_KEY).toBeUndefined();
  const pids = notes()
    .filter((n) => n.event === 'up')
    .map((n) => n.pid ?? 0);
  expect(pids).toHaveLength(2);
  await until(() => !isAlive(pids[1] ?? 0));
  expect(isAlive(pids[0] ?? 0)).toBe(true);
  expect(JSON.stringify(said.lines)).toContain('started');
  expect(JSON.stringify(said.lines)).not.toContain('s3cret');
});

test('a process that belongs to a lease serves the calls of its session, and ends with the lease', async () => {
  const { upstream, notes } = await start({ inject: { env: { API_KEY: '{secret}', API_USER: 'u-{secret}' } } });
  const leased = leasedWith('s3cret-0123456789', { lease: 'default/demo/one' });
  const own = async () => JSON.parse(textOf(await callOnce(upstream, 'env', {}, leased)));
  expect(await own()).toMatchObject({ API_KEY: 's3cret-0123456789', API_USER: 'u-s3cret-0123456789' });
  await Promise.all([own(), own()]);
  const up = () => notes().flatMap((n) => (n.event === 'up' ? [n.pid ?? 0] : []));
  expect(up()).toHaveLength(2);
  upstream.forget('default/demo/one');
  await until(() => !isAlive(up()[1] ?? 0));
  await own();
  expect(up()).toHaveLength(3);
});

test('a lease whose process died gets a new one', async () => {
  const { upstream, notes } = await start({ inject: { env: 'API_KEY', format: '{secret}' } });
  const leased = leasedWith('s3cret-0123456789', { lease: 'default/demo/one' });
  await callOnce(upstream, 'crash', {}, leased);
  expect(JSON.parse(textOf(await callOnce(upstream, 'env', {}, leased))).API_KEY).toBe('s3cret-0123456789');
  expect(notes().filter((n) => n.event === 'up')).toHaveLength(3);
});

test('a credential in _meta goes with its call alone, through the session that all share', async () => {
  const { upstream, notes } = await start({ inject: { meta: 'io.test/token', format: 'Bearer {secret}' } });
  const seen = JSON.parse(textOf(await callOnce(upstream, 'meta', {}, 's3cret-0123456789')));
  expect(seen).toMatchObject({ 'io.test/token': 'Bearer s3cret-0123456789' });
  expect(textOf(await callOnce(upstream, 'meta'))).not.toContain('s3cret');
  expect(notes().filter((n) => n.event === 'up')).toHaveLength(1);
});

test('a server that does not start without its credential is listed in a process with a lease of its own', async () => {
  const { listing, given, released } = listingWith(() => 's3cret-0123456789');
  const stdio = { command: process.execPath, args: [stdioServer], env: { WITHOUT_CREDENTIAL: 'exit' } };
  const { upstream, listed, said } = await start({ stdio, listing, inject: { env: 'API_KEY', format: '{secret}' } });
  expect(upstream.problem()).toBeUndefined();
  expect(listed[0]?.map(({ name }) => name)).toContain('echo');
  expect(released).toEqual(given.map(({ lease }) => lease));
  expect(textOf(await callOnce(upstream, 'echo', { text: 'a' }, 'other-0123456789'))).toBe('a');
  expect(JSON.stringify(said.lines)).not.toContain('s3cret-0123456789');
});

test('a server that announces new tools whenever it starts is not listed again and again for it', async () => {
  const { listing, given } = listingWith(() => 's3cret-0123456789');
  const stdio = { command: process.execPath, args: [stdioServer], env: { ANNOUNCE: 'yes' } };
  const { upstream } = await start({
    stdio,
    listing,
    inject: { env: 'API_KEY', format: '{secret}' },
    pace: { firstRetryMs: 20, soonMs: 300 },
  });
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(given).toHaveLength(1);
  // What it announces in calls counts, and no more often than that.
  await Promise.all([1, 2, 3].map(() => callOnce(upstream, 'slow', { ms: 600 }, 'other-0123456789')));
  await until(() => given.length === 2, 5_000);
});
