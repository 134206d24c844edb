import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type Batcher, type Bus, silent } from '@agentgate/bus';
import {
  type AgentGateError,
  type CallIdentity,
  type KillReceipt,
  killCheck,
  killPulse,
  killReceipt,
  pointAlive,
  pointContain,
  type Scope,
} from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { type Ground, startGround } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import type { PointAnswer } from '../src/fates.ts';
import { type ServiceProcess, spawnService } from './service-process.ts';

type Cleared = z.infer<(typeof killCheck)['answer']>;

let ground: Ground;
let operator: Bus;
let ingress: Bus;
let runner: Bus;
let checker: Batcher<CallIdentity, Cleared>;
let service: ServiceProcess;
const points: { stop(): void }[] = [];
const calls: Record<'ingress' | 'tool-runner', PointAnswer['calls']> = { ingress: [], 'tool-runner': [] };

/** An enforcement point as the kill-switch sees one. */
const standIn = (bus: Bus, kind: 'ingress' | 'tool-runner') => {
  let answers = true;
  bus.serveBroadcast(pointContain, async ({ epoch }) => {
    if (!answers) return new Promise<never>(() => {});
    return { v: 1 as const, service: kind, instance: bus.instance, epoch, calls: calls[kind] };
  });
  const alive = () => bus.notify(pointAlive, { v: 1, service: kind, instance: bus.instance, epoch: 0, state: 'up' });
  alive();
  const timer = setInterval(alive, 500);
  const point = {
    stop: () => clearInterval(timer),
    silence: (on: boolean) => {
      answers = !on;
    },
  };
  points.push(point);
  return point;
};
let runnerPoint: ReturnType<typeof standIn>;

beforeAll(async () => {
  ground = await startGround();
  [operator, ingress, runner] = await Promise.all([
    ground.connect('operator'),
    ground.connect('ingress'),
    ground.connect('tool-runner'),
  ]);
  checker = ingress.batcher(killCheck);
  standIn(ingress, 'ingress');
  runnerPoint = standIn(runner, 'tool-runner');
  service = await spawnService(ground, 'k1');
  await service.ready();
});
afterAll(async () => {
  for (const point of points) point.stop();
  await service?.kill('SIGTERM');
  await ground?.stop();
});

const say = async (verb: string, body: unknown): Promise<unknown> => {
  const answer = await operator.requestRaw(
    `ops.operator.${verb}`,
    typeof body === 'string' ? body : JSON.stringify(body),
    { of: 'kill-switch', timeoutMs: 10_000 },
  );
  return JSON.parse(Buffer.from(answer).toString('utf8'));
};
const kill = async (scope: Scope, more: object = {}) =>
  killReceipt.parse(await say('kill', { v: 1, scope, reason: 'runs wild', ...more }));
const lift = (scope: Scope) => say('lift', { v: 1, scope, reason: 'calm again' });
const check = (more: Partial<CallIdentity> = {}): Promise<Cleared | AgentGateError> =>
  checker({ tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'files/read', ...more }).catch(
    (error: AgentGateError) => error,
  );
const becomesClear = (more: Partial<CallIdentity> = {}) =>
  expect.poll(() => check(more), { timeout: 15_000, interval: 50 }).toEqual({ epoch: expect.any(Number) });
const becomesKilled = (more: Partial<CallIdentity> = {}) =>
  expect.poll(() => check(more), { timeout: 15_000, interval: 50 }).toMatchObject({ killed: expect.anything() });
const session = (id: string): Scope => ({ kind: 'session', id });

test('a kill is enforced, receipted with a signature that the trust knows, and ends with a lift', async () => {
  const scope = session('ses_0123456789');
  calls.ingress = [
    { call: 'call_0000000001', fate: 'not_started' },
    { call: 'call_0000000002', fate: 'dispatched' },
  ];
  calls['tool-runner'] = [{ call: 'call_0000000002', fate: 'completed' }];
  expect(await check()).toEqual({ epoch: expect.any(Number) });
  const receipt: KillReceipt = await kill(scope);
  expect(receipt).toMatchObject({
    scope,
    contained: true,
    calls: [
      { call: 'call_0000000001', fate: 'aborted' },
      { call: 'call_0000000002', fate: 'completed' },
    ],
  });
  expect(receipt.points.map((p) => [p.service, p.instance]).sort()).toEqual([
    ['ingress', ingress.instance],
    ['tool-runner', runner.instance],
  ]);
  expect(receipt.contained_in_ms).toBeLessThan(1_000);
  const { signature, ...rest } = receipt;
  const [key] = ground.trust.keysOf('kill-switch');
  expect(key?.verify(Buffer.from(`agentgate-receipt-v1\n${canonical(rest)}`), Buffer.from(signature, 'base64'))).toBe(
    true,
  );

  expect(await check()).toMatchObject({ killed: { scope, reason: 'runs wild' } });
  expect(await check({ session: 'ses_9876543210' })).not.toHaveProperty('killed');
  expect(await say('kills', { v: 1 })).toMatchObject({
    v: 1,
    epoch: receipt.epoch,
    kills: [{ scope, by: 'operator', reason: 'runs wild', epoch: receipt.epoch }],
  });
  expect(await lift(scope)).toEqual({ v: 1, status: 'lifted', epoch: receipt.epoch + 1 });
  expect(await check()).not.toHaveProperty('killed');
  expect(await lift(scope)).toMatchObject({ status: 'not_killed' });
  calls.ingress = [];
  calls['tool-runner'] = [];
});

test('not contained when a known runner stays silent; the order stands', async () => {
  runnerPoint.silence(true);
  const scope = session('ses_silent_runner');
  const receipt = await kill(scope);
  runnerPoint.silence(false);
  expect(receipt).toMatchObject({ contained: false });
  expect(receipt.points).toContainEqual({ service: 'tool-runner', instance: runner.instance, confirmed_in_ms: null });
  expect(receipt.contained_in_ms).toBeGreaterThanOrEqual(1_990);
  expect(await check({ session: 'ses_silent_runner' })).toMatchObject({ killed: { scope } });
});

test.each([
  ['not JSON', '{', 'MALFORMED', 'body: not JSON'],
  [
    'a name claimed in the payload',
    { v: 1, scope: { kind: 'global' }, reason: 'x', by: 'eve' },
    'FIELD_INVALID',
    '/by: unknown field',
  ],
  [
    'a wildcard scope',
    { v: 1, scope: { kind: 'agent', id: '*' }, reason: 'x' },
    'FIELD_INVALID',
    expect.stringContaining('/scope/id: '),
  ],
])('%s is refused with the field, and nothing is killed', async (_, body, code, reason) => {
  expect(await say('kill', body)).toEqual({ v: 1, status: 'invalid', code, reason });
  expect(await check()).not.toHaveProperty('killed');
});

test('an order with an end is over within a second of it', async () => {
  const id = 'ses_with_an_end';
  const receipt = await kill(session(id), { expires_in_ms: 700 });
  expect(await check({ session: id })).toMatchObject({ killed: {} });
  await becomesClear({ session: id });
  expect(Date.now() - Date.parse(receipt.ordered_at)).toBeLessThan(700 + 1_500);
});

test('the orders and what became of them are in evidence, in order', async () => {
  const receipt = await kill({ kind: 'tool', id: 'files/delete' });
  const auditor = await ground.connect('audit-log');
  const events: { type: string; data: { epoch: number } }[] = [];
  const consumption = auditor.consume('AUDIT', 'audit', {
    maxMessages: 64,
    onMessages: async (messages) => {
      for (const message of messages) {
        const batch = JSON.parse(Buffer.from(message.data).toString('utf8')) as { events: string[] };
        events.push(...batch.events.map((text) => JSON.parse(text) as (typeof events)[number]));
      }
    },
  });
  await expect
    .poll(() => events.filter((e) => e.data.epoch === receipt.epoch).map((e) => e.type), { timeout: 10_000 })
    .toEqual(['agentgate.kill.ordered.v1', 'agentgate.kill.contained.v1']);
  await consumption.close();
});

test('a second instance changes nothing: both answer, and an end is written once', async () => {
  const second = await spawnService(ground, 'k2');
  await second.ready();
  const id = 'ses_two_instances';
  const receipt = await kill(session(id), { expires_in_ms: 1_500 });
  const answers = await Promise.all(Array.from({ length: 40 }, () => check({ session: id })));
  for (const answer of answers) expect(answer).toMatchObject({ killed: {} });
  await becomesClear({ session: id });
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(await say('kills', { v: 1 })).toMatchObject({ epoch: receipt.epoch + 1 });
  expect(await second.kill('SIGTERM')).toBe(0);
});

test('kills survive a SIGKILL of the service', async () => {
  const id = 'ses_survives_crash';
  await kill(session(id));
  await service.kill('SIGKILL');
  service = await spawnService(ground, 'k3');
  await service.ready();
  expect(await check({ session: id })).toMatchObject({ killed: { scope: session(id) } });
  expect(await check()).not.toHaveProperty('killed');
});

test('kills survive that the view is emptied, and nothing is cleared before it is whole again', async () => {
  const id = 'ses_survives_flush';
  await kill(session(id));
  const redis = new Redis(ground.redisUrl('kill-switch'));
  await redis.del('kill:view', `kill:scope:session:${id}`);
  const first = await check();
  expect(first).toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE', message: 'the kill view is being rebuilt' });
  await becomesClear();
  expect(await check({ session: id })).toMatchObject({ killed: { scope: session(id) } });
  expect(await redis.get(`kill:scope:session:${id}`)).toContain('"killed"');
  redis.disconnect();
});

test('an emptied view is rebuilt although nobody asks', async () => {
  const redis = new Redis(ground.redisUrl('kill-switch'));
  await redis.del('kill:view');
  await expect.poll(() => redis.exists('kill:view'), { timeout: 5_000 }).toBe(1);
  redis.disconnect();
});

test('refuses while Redis is away, and kills survive that Redis lost its data', async () => {
  const id = 'ses_survives_loss';
  await kill(session(id));
  await ground.redis.kill('SIGKILL');
  expect(await check({ session: id })).toMatchObject({ killed: {} });
  expect(await check()).toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
  await expect.poll(() => service.problems(), { timeout: 5_000 }).toContain('kill view: it is being rebuilt');
  // A kill needs no Redis.
  expect(await kill(session('ses_without_redis'))).toMatchObject({ contained: true });
  rmSync(join(ground.dir, 'home', 'redis', 'appendonlydir'), { recursive: true });
  await ground.redis.start();
  await becomesClear();
  expect(await check({ session: id })).toMatchObject({ killed: {} });
  expect(await check({ session: 'ses_without_redis' })).toMatchObject({ killed: {} });
  await service.ready();
});

test('kills survive a restart of NATS', async () => {
  const id = 'ses_survives_nats';
  await kill(session(id));
  await ground.nats.kill('SIGKILL');
  await ground.nats.start();
  await becomesKilled({ session: id });
  await becomesClear();
  expect(await kill(session('ses_after_nats'))).toMatchObject({ contained: true });
  await service.ready();
});

test('pulses tell the last epoch each second', async () => {
  const heard: { epoch: number; instance: string }[] = [];
  ingress.hear(killPulse, (pulse) => void heard.push(pulse));
  const { epoch } = await kill(session('ses_pulse_pulse'));
  await expect.poll(() => heard.at(-1), { timeout: 3_000 }).toMatchObject({ instance: service.instance, epoch });
});

test('an agent’s or an approver’s credentials cannot kill, and ingress cannot play an operator', async () => {
  for (const user of ['approver', 'agent-demo']) {
    const bus = await ground.connect(user, { log: silent });
    await expect(
      bus.requestRaw(`ops.${user}.kill`, JSON.stringify({ v: 1, scope: { kind: 'global' }, reason: 'x' }), {
        of: 'kill-switch',
        timeoutMs: 500,
      }),
    ).rejects.toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
  }
  await expect(
    ingress.requestRaw('ops.v1.operator.kill', JSON.stringify({ v: 1, scope: { kind: 'global' }, reason: 'x' }), {
      of: 'kill-switch',
      timeoutMs: 500,
    }),
  ).rejects.toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
  expect(await check()).not.toHaveProperty('killed');
});

test('an order that cannot be read stops every call, until a readable one takes its place', async () => {
  const bus = await ground.connect('kill-switch', { instance: 'broken' });
  const id = 'ses_unreadable';
  const subject = `kill.v1.${Buffer.from(`session:${id}`).toString('base64url')}`;
  await bus.publishDurable(subject, 'not an order', { timeoutMs: 2_000 });
  await expect
    .poll(() => check(), { timeout: 2_000 })
    .toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE', message: 'an order cannot be read' });
  expect(await service.problems()).toContain(`kill orders: the order on ${subject} cannot be read`);
  await kill(session(id));
  await becomesClear();
});

test('refuses to start when the KILL stream is not what it relies on, and says how', async () => {
  const bus = await ground.connect('changer', {
    creds: await ground.mintUser({ account: 'CORE', user: 'changer', pub: ['$JS.API.>'], sub: ['_INBOX_changer.>'] }),
  });
  const { config } = await bus.streamInfo('KILL');
  const update = async (more: object) =>
    Buffer.from(
      await bus.requestRaw('$JS.API.STREAM.UPDATE.KILL', JSON.stringify({ ...config, ...more }), {
        of: 'kill-switch',
        timeoutMs: 2_000,
      }),
    ).toString();
  expect(await update({ max_msgs_per_subject: 2 })).not.toContain('"error"');
  const refused = await spawnService(ground, 'k9');
  expect(await refused.exited).toBe(1);
  expect(refused.logs()).toMatch(/stream KILL: .*max_msgs_per_subject/);
  expect(await update({ max_msgs_per_subject: 1 })).not.toContain('"error"');
});

test('waits at its start for a Redis that does not answer at once, and warns of nothing', async () => {
  const url = new URL(readFileSync(ground.redisUrlFile('kill-switch'), 'utf8').trim());
  const port = Number(url.port);
  const slow = createServer((client) => {
    client.on('error', () => {});
    setTimeout(() => {
      const redis = connect(port, url.hostname);
      redis.on('error', () => {});
      client.pipe(redis).pipe(client);
    }, 300);
  });
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  url.port = String((slow.address() as AddressInfo).port);
  const urlFile = join(ground.dir, 'slow-redis.url');
  writeFileSync(urlFile, url.href);
  const another = await spawnService(ground, 'k-slow', { AGENTGATE_REDIS_URL_FILE: urlFile });
  try {
    await another.ready();
    const entries = another
      .logs()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number; msg: string });
    expect(entries.filter(({ level }) => level > 30)).toEqual([]);
    expect(entries.map(({ msg }) => msg)).toContain('the kill view is rebuilt');
  } finally {
    await another.kill('SIGTERM');
    slow.close();
  }
});
