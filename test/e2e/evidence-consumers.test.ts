import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// The examples as their read-me starts them, against receivers that listen on real ports.

let stack: Stack;
let demo: Agent;
let session: string;
const children = new Set<ChildProcess>();
const servers = new Set<Server>();

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  session = await demo.open('the tests of the examples');
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const server of servers) server.close();
  children.clear();
  servers.clear();
});
afterAll(() => stack?.stop());

const start = (example: string, to: string, position: string, trust = join(stack.home, 'keys', 'trust.json')) => {
  const { status, home } = stack;
  const file = fileURLToPath(new URL(`../../examples/evidence/${example}.ts`, import.meta.url));
  const args = ['--to', to, '--position', join(stack.dir, position), '--vkey', status.log.vkey, '--trust', trust];
  args.push('--servers', status.nats, '--creds', join(home, 'creds', 'auditor.creds'));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, ...args], {
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  children.add(child);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return { child, exited, said: () => said };
};
const call = async (text: string) => (await demo.call(session, 'probe/echo', { text })).evidence?.completed ?? '';
/** A receiver of JSON, which answers as it is told to. */
const listen = async (onBody: (body: unknown, key: string | undefined) => number) => {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const key = request.headers['idempotency-key'];
      response.statusCode = onBody(JSON.parse(Buffer.concat(chunks).toString()), key as string | undefined);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  servers.add(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

interface Delivered {
  index: number;
  event: { id: string };
}
const upTo = (last: number) => Array.from({ length: last + 1 }, (_, i) => i);

test('to a file: every event once and in order, over a SIGKILL and half a line', async () => {
  const to = join(stack.dir, 'evidence.jsonl');
  const lines = () =>
    existsSync(to)
      ? readFileSync(to, 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Delivered)
      : [];
  const has = (id: string) =>
    eventually(`${id} is in the file`, () => lines().some(({ event }) => event.id === id), 60_000);
  const first = await call('one');
  const killed = start('to-file', to, 'file.json');
  await has(first);
  killed.child.kill('SIGKILL');
  await killed.exited;
  appendFileSync(to, '{"index":');
  // As if it had been killed between the file and its position: it begins anew, and the file has everything already.
  rmSync(join(stack.dir, 'file.json'), { force: true });
  const second = await call('two');
  const again = start('to-file', to, 'file.json');
  await has(second);
  again.child.kill('SIGTERM');
  expect(await again.exited).toBe(0);
  const indexes = lines().map(({ index }) => index);
  expect(indexes).toEqual(upTo(indexes.length - 1));
});

test('to a SIEM over HTTP: goes on from its position, and delivers again what was not taken', async () => {
  const taken: Delivered[] = [];
  const keys: string[] = [];
  let refusals = 2;
  const to = await listen((body, key) => {
    if (refusals-- > 0) return 503;
    keys.push(key ?? '');
    taken.push(...(body as Delivered[]));
    return 200;
  });
  const has = (id: string) => eventually(`${id} was taken`, () => taken.some(({ event }) => event.id === id), 60_000);
  const first = start('to-siem', to, 'siem.json');
  await has(await call('three'));
  first.child.kill('SIGTERM');
  expect(await first.exited).toBe(0);
  expect(first.said()).toContain('answered 503; trying again');
  const until = taken.length;
  const second = start('to-siem', to, 'siem.json');
  await has(await call('four'));
  second.child.kill('SIGTERM');
  expect(await second.exited).toBe(0);
  // What came twice, as it may, comes under the index that it had.
  const fresh = [...new Map(taken.map((each) => [each.index, each])).keys()].sort((a, b) => a - b);
  expect(fresh).toEqual(upTo(fresh.length - 1));
  expect(taken[until]?.index).toBeGreaterThan(0);
  for (const key of keys) expect(key).toMatch(/^\d+-\d+$/);
});

test('to a SIEM over HTTP: ends when it is refused for good, and begins with the same events again', async () => {
  const bodies: number[] = [];
  const to = await listen((body) => {
    bodies.push((body as Delivered[])[0]?.index ?? -1);
    return 403;
  });
  for (let i = 0; i < 2; i++) {
    const run = start('to-siem', to, 'refused.json');
    expect(await run.exited).toBe(1);
    expect(run.said()).toContain('refuses evidence: 403');
  }
  expect(bodies).toEqual([0, 0]);
});

interface OtlpLogs {
  resourceLogs: {
    scopeLogs: {
      logRecords: { eventName?: string; attributes: { key: string; value: { intValue?: number | string } }[] }[];
    }[];
  }[];
}

test('to OpenTelemetry logs: each event a log record of its own, over a receiver that was away', async () => {
  const taken: number[] = [];
  let refusals = 1;
  const to = await listen((body) => {
    if (refusals-- > 0) return 400;
    for (const { scopeLogs } of (body as OtlpLogs).resourceLogs)
      for (const { logRecords } of scopeLogs)
        for (const { attributes } of logRecords)
          taken.push(Number(attributes.find(({ key }) => key === 'agentgate.index')?.value.intValue));
    return 200;
  });
  const first = start('to-otel', `${to}/v1/logs`, 'otel.json');
  await eventually('everything was taken', () => taken.length > 10, 60_000);
  first.child.kill('SIGTERM');
  expect(await first.exited).toBe(0);
  expect(first.said()).toContain('trying again');
  const last = Math.max(...taken);
  const second = start('to-otel', `${to}/v1/logs`, 'otel.json');
  await call('five');
  await eventually('what came after was taken', () => Math.max(...taken) > last, 60_000);
  second.child.kill('SIGTERM');
  expect(await second.exited).toBe(0);
  const indexes = [...new Set(taken)].sort((a, b) => a - b);
  expect(indexes).toEqual(upTo(indexes.length - 1));
});

test('ends at once when an entry is not what its producer sealed', async () => {
  const trust = join(stack.dir, 'other-trust.json');
  writeFileSync(trust, JSON.stringify({ v: 1, keys: [] }));
  const to = join(stack.dir, 'never.jsonl');
  const run = start('to-file', to, 'never.json', trust);
  expect(await run.exited).toBe(1);
  expect(run.said()).toMatch(/entry 0: no key [0-9a-f]{16} of agentgate/);
  expect(readFileSync(to, 'utf8')).toBe('');
});
