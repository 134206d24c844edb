import type { Bus } from '@agentgate/bus';
import {
  type AlertsAnswer,
  checkpointSubject,
  eventType,
  evidenceStream,
  evidenceSubject,
  operatorSubject,
  operatorVerbs,
} from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import { type Ground, keepStream, startGround } from '@agentgate/testkit';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createEvidenceWriter } from './evidence-writer.ts';
import { secret } from './fixtures.ts';
import { configOf, type NotifierProcess, startNotifier } from './notifier-process.ts';
import { type Receiver, startReceiver } from './receiver.ts';

vi.setConfig({ testTimeout: 90_000 });

let ground: Ground;
let operator: Bus;
let audit: Bus;
let write: ReturnType<typeof createEvidenceWriter>;
let receiver: Receiver;
const running: NotifierProcess[] = [];

beforeAll(async () => {
  ground = await startGround({ redis: false, config: configOf({}) });
  operator = await ground.connect('operator');
  audit = await ground.connect('audit-log');
  write = createEvidenceWriter(audit, {
    service: 'kill-switch',
    key: ground.key('kill-switch'),
  });
});
afterAll(() => ground?.stop());
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.kill('SIGKILL')));
  await receiver.close();
});

const start = async (...args: Parameters<typeof startNotifier> extends [Ground, ...infer Rest] ? Rest : never) => {
  const notifier = await startNotifier(ground, ...args);
  running.push(notifier);
  return notifier;
};
const here = (more: object = {}) => ({
  url: `http://127.0.0.1:${receiver.port}/hook`,
  allow_http: true,
  allow_private: true,
  ...more,
});
const kill = () => write('kill.ordered', { epoch: 1, scope: { kind: 'global' }, reason: 'stop', by: 'olga' });
const ordered = evidenceSubject('default', eventType('kill.ordered'));
const heardOf = (event: string) => receiver.heard.filter(({ body }) => body.includes(`"${event}"`));
const patiently = { timeout: 40_000, interval: 50 };
const alerts = async (state: 'waiting' | 'dead' = 'waiting'): Promise<AlertsAnswer> => {
  const subject = operatorSubject('operator', 'alerts');
  const answer = await operator.ask(operatorVerbs.alerts, { v: 1, state }, { subject });
  if (!('alerts' in answer)) throw new Error(answer.reason);
  return answer;
};

test('an event that nobody is to be told of is taken, and the first endpoint hears only of what comes after it', async () => {
  const idle = await start({});
  await kill();
  expect(await alerts()).toEqual({ v: 1, endpoints: [], alerts: [] });
  // The order is acknowledged by now: what comes after it in the same consumer is, too.
  await expect.poll(() => pendingOf('notifier'), patiently).toBe(0);
  expect(await idle.kill('SIGTERM')).toBe(0);
  await start({ pager: here() });
  const event = await kill();
  await expect.poll(() => heardOf(event).length, patiently).toBe(1);
  expect(receiver.heard).toHaveLength(1);
});

test('a kill arrives signed; on errors it comes again with the same id, and no more once it is taken', async () => {
  const notifier = await start({ pager: here({ events: ['kill.*'] }) });
  receiver.answer = (_, res) => void res.writeHead(receiver.heard.length < 2 ? 500 : 200).end('ok');
  const event = await kill();
  await write('call.decided', {});
  await write('tool.changed', {});
  await expect
    .poll(() => alerts(), patiently)
    .toMatchObject({
      alerts: [{ id: `pager/${event}`, tries: 1, problem: 'answered 500' }],
    });
  await expect.poll(() => heardOf(event).length, patiently).toBe(2);
  for (const { headers, body } of receiver.heard) {
    expect(headers['webhook-id']).toBe(`pager/${event}`);
    expect(new Webhook(secret).verify(body, headers)).toMatchObject({
      type: 'agentgate.kill.ordered.v1',
      data: { event, summary: 'everything killed by olga: stop' },
    });
  }
  await expect.poll(async () => (await alerts()).alerts, patiently).toEqual([]);
  expect(receiver.heard).toHaveLength(2);
  const metrics = await notifier.metrics();
  expect(metrics).toMatch(/agentgate_alerts_tries_total\{endpoint="pager",outcome="delivered",service="notifier"\} 1/);
  expect(metrics).toMatch(/agentgate_alerts_oldest_undelivered_seconds\{endpoint="pager",service="notifier"\} 0/);
});

test('a restart in the middle of retries goes on where it was', async () => {
  const first = await start({ pager: here() });
  receiver.answer = (_, res) => void res.writeHead(503).end();
  const event = await kill();
  await expect.poll(async () => (await alerts()).alerts[0]?.problem, patiently).toBe('answered 503');
  expect(await first.kill('SIGTERM')).toBe(0);
  const meanwhile = await kill();
  receiver.answer = (_, res) => void res.writeHead(204).end();
  await start({ pager: here() });
  await expect.poll(() => [heardOf(event).length, heardOf(meanwhile).length], patiently).toEqual([2, 1]);
});

test('SIGKILL between sending and writing it down: it is sent again, with the same id', async () => {
  const first = await start({ pager: here() });
  receiver.answer = () => {};
  const event = await kill();
  await expect.poll(() => heardOf(event).length, patiently).toBe(1);
  await first.kill('SIGKILL');
  receiver.answer = (_, res) => void res.writeHead(204).end();
  await start({ pager: here() });
  await expect.poll(() => heardOf(event).length, patiently).toBe(2);
  expect(new Set(receiver.heard.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([`pager/${event}`]));
  await expect.poll(async () => (await alerts()).alerts, patiently).toEqual([]);
});

test('a kill is told of where it stands at a sequence that was taken already, for NATS lost the end of EVIDENCE', async () => {
  await start({ pager: here() });
  const isBack = () => expect.poll(() => audit.connected() && operator.connected(), patiently).toBe(true);
  const first = await kill();
  await expect.poll(() => heardOf(first).length, patiently).toBe(1);
  await expect.poll(() => pendingOf('notifier'), patiently).toBe(0);
  const kept = await keepStream(ground, evidenceStream.name);
  await isBack();
  const { lastSeq: keptSeq } = await audit.streamInfo(evidenceStream.name);
  for (let i = 0; i < 4; i++) await audit.publishDurable(checkpointSubject, 'a checkpoint', { timeoutMs: 5_000 });
  const told = await kill();
  await expect.poll(() => heardOf(told).length, patiently).toBe(1);
  await expect.poll(() => pendingOf('notifier'), patiently).toBe(0);
  const before = await audit.lastMessage(evidenceStream.name, ordered);
  await kept.crash();
  await isBack();
  expect((await audit.streamInfo(evidenceStream.name)).lastSeq).toBe(keptSeq);
  // As audit writes it again: the same entry, without the checkpoints that stood before it, and then what is new.
  await audit.publishDurable(ordered, before?.data ?? '', { timeoutMs: 5_000 });
  const events = [await kill(), await kill(), await kill(), await kill(), await kill()];
  await expect.poll(() => events.map((event) => heardOf(event).length), patiently).toEqual(events.map(() => 1));
  await expect.poll(() => pendingOf('notifier'), patiently).toBe(0);
  expect(heardOf(told)).toHaveLength(1);
});

test('an endpoint that hangs delays nobody else', async () => {
  const hanging = await startReceiver();
  hanging.answer = () => {};
  try {
    await start({ hangs: here({ url: `http://127.0.0.1:${hanging.port}/` }), works: here() });
    const events = await Promise.all(Array.from({ length: 20 }, kill));
    await expect.poll(() => events.filter((event) => heardOf(event).length === 1).length, patiently).toBe(20);
    expect(hanging.heard).toHaveLength(4);
    await expect
      .poll(async () => (await alerts()).endpoints, patiently)
      .toMatchObject([
        { endpoint: 'hangs', waiting: 20 },
        { endpoint: 'works', waiting: 0 },
      ]);
  } finally {
    await hanging.close();
  }
});

test('what its producer did not sign, or may not say, reaches nobody', async () => {
  const notifier = await start({ pager: here() });
  const liar = createEvidenceWriter(await ground.connect('audit-log'), {
    service: 'ingress',
    key: ground.key('ingress'),
  });
  await write('kill.lifted', { scope: { kind: 'global' } }, generateSigningKey());
  await liar('kill.lifted', { scope: { kind: 'global' } });
  const event = await kill();
  await expect.poll(() => heardOf(event).length, patiently).toBe(1);
  expect(receiver.heard.map(({ body }) => JSON.parse(body).type)).toEqual(['agentgate.kill.ordered.v1']);
  expect(await notifier.metrics()).toMatch(/agentgate_alerts_untrusted_total\{service="notifier"\} 2/);
});

test('operators see what is dead and why, have it tried again, and try an endpoint', async () => {
  receiver.answer = (_, res) => void res.writeHead(410).end();
  await start({ pager: here(), inside: { url: 'https://10.0.0.1/', events: ['tool.*'] } });
  const event = await kill();
  const dead = async () => (await alerts('dead')).alerts.filter(({ endpoint }) => endpoint === 'pager');
  await expect
    .poll(dead, patiently)
    .toMatchObject([{ id: `pager/${event}`, state: 'dead', problem: 'answered 410: it takes no alerts any more' }]);
  const ask = (verb: 'retry-alert' | 'test-alert', body: object) =>
    operator.ask(operatorVerbs[verb] as never, { v: 1, ...body } as never, {
      subject: operatorSubject('operator', verb),
    });
  receiver.answer = (_, res) => void res.writeHead(204).end();
  expect(await ask('retry-alert', { alert: `pager/${event}` })).toEqual({ v: 1, retried: 1 });
  await expect.poll(() => heardOf(event).length, patiently).toBe(2);
  expect(await ask('test-alert', { endpoint: 'pager' })).toMatchObject({ ok: true });
  expect(await ask('test-alert', { endpoint: 'inside' })).toMatchObject({
    ok: false,
    problem: expect.stringMatching(/^its address 10\.0\.0\.1 is not on the public Internet/),
  });
  expect(await ask('test-alert', { endpoint: 'nobody' })).toMatchObject({ status: 'invalid', code: 'FIELD_INVALID' });
  expect(await ask('retry-alert', { alert: '../x' })).toMatchObject({ status: 'invalid', code: 'FIELD_INVALID' });
});

describe('it does not start', () => {
  test.each([
    [{}, 'alerts/endpoints/pager/secret is empty or not set'],
    [
      { AGENTGATE_WEBHOOK_SECRET: 'a passphrase' },
      'alerts/endpoints/pager/secret is not whsec_ and 24 to 64 bytes in base64',
    ],
  ])('with a secret that signs nothing: %j', async (environment, message) => {
    await expect(startNotifier(ground, { pager: here() }, environment)).rejects.toThrow(message);
  });
});

describe('its users', () => {
  const refused = async (bus: Bus, subject: string) => {
    const asked = bus.requestRaw(subject, '{}', { of: 'x', timeoutMs: 700 });
    await expect(asked, subject).rejects.toThrow();
  };

  test('may neither read EVIDENCE past the one consumer nor make, change or delete one', async () => {
    const bus = await ground.connect('notifier-evidence');
    for (const subject of [
      '$JS.API.CONSUMER.CREATE.EVIDENCE.mine',
      '$JS.API.CONSUMER.DURABLE.CREATE.EVIDENCE.notifier',
      '$JS.API.CONSUMER.DELETE.EVIDENCE.notifier',
      '$JS.API.STREAM.MSG.GET.EVIDENCE',
      '$JS.API.DIRECT.GET.EVIDENCE',
      '$JS.API.CONSUMER.MSG.NEXT.AUDIT.audit',
      'evidence.v1.default.agentgate.kill.lifted.v1',
      'events.v1.kill-switch',
    ])
      await refused(bus, subject);
  });

  test('may neither order, lift nor answer for anybody else', async () => {
    const bus = await ground.connect('notifier');
    for (const subject of ['kill.v1.Z2xvYmFs', '$KV.APPROVALS.x', '$JS.API.DIRECT.GET.KV_LEASES', 'events.v1.notifier'])
      await refused(bus, subject);
  });
});

test('says that it is not ready where somebody made its consumer hear of something else', async () => {
  const notifier = await start({ pager: here() });
  const auditor = await ground.connect('auditor');
  const config = {
    name: 'notifier',
    ack_policy: 'explicit',
    deliver_policy: 'new',
    filter_subject: 'evidence.v1.none',
  };
  await auditor.requestRaw('$JS.API.CONSUMER.CREATE.EVIDENCE', JSON.stringify({ stream_name: 'EVIDENCE', config }), {
    of: 'JetStream',
    timeoutMs: 2_000,
  });
  await expect.poll(async () => (await notifier.health()).ready, patiently).toBe(false);
  expect((await notifier.health()).text).toContain('somebody changed what consumer notifier hears of');
});

/** What the consumer has still to hand out, and what it handed out and nobody acknowledged. */
const pendingOf = async (name: string): Promise<number> => {
  const bus = await ground.connect('notifier-evidence');
  const told = await bus.requestRaw(`$JS.API.CONSUMER.INFO.EVIDENCE.${name}`, '', {
    of: 'JetStream',
    timeoutMs: 2_000,
  });
  const info = JSON.parse(new TextDecoder().decode(told)) as { num_pending: number; num_ack_pending: number };
  await bus.close();
  return info.num_pending + info.num_ack_pending;
};
