import { writeFileSync } from 'node:fs';
import { type Bus, connectBus } from '@agentgate/bus';
import { type IncidentRecord, incidentsAnswer } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createEvidenceWriter } from './evidence-writer.ts';
import { sessionOf } from './fixtures.ts';
import { type Order, takeOrders } from './order-taker.ts';
import { type ServiceProcess, startSentinel } from './service-process.ts';

// The service as a process, on a real NATS: EVIDENCE is written as audit writes it, by the keys of those whose events they are. In the
// kill-switch's place stands somebody who notes each order and answers it.

const containment = {
  denials: [{ id: 'probing', count: 3, window_s: 3_600 }],
  canaries: [{ id: 'honey', credentials: ['honey-key'] }],
  anomalies: [{ id: 'lost', contains: 'session' }],
  risk: [{ id: 'risk', limit: 9, half_life_s: 3_600, weights: { approval_rejected: 5, SESSION_EXPIRED: 5 } }],
};
const agents = Array.from({ length: 16 }, (_, i) => `a${i}`);

let ground: Ground;
let evidence: ReturnType<typeof createEvidenceWriter>;
let operator: Bus;
let admin: Bus;
const sentinels: ServiceProcess[] = [];
let orders: Order[];

beforeAll(async () => {
  ground = await startGround({ tenants: { default: agents }, redis: false });
  const text = JSON.stringify({
    v: 1,
    tenants: { default: { agents: Object.fromEntries(agents.map((agent) => [agent, {}])) } },
    credentials: { 'honey-key': { provider: 'static', from: { env: 'HONEY' } } },
    containment,
  });
  writeFileSync(ground.configFile, text);
  evidence = createEvidenceWriter(ground, await ground.connect('audit-log'));
  operator = await ground.connect('operator');
  const streams = ['CREATE', 'DELETE', 'INFO'].map((verb) => `$JS.API.STREAM.${verb}.>`);
  const creds = await ground.mintUser({ account: 'CORE', user: 'admin', pub: streams, sub: ['_INBOX_admin.>'] });
  admin = await connectBus({ servers: ground.natsUrl, creds, user: 'admin', instance: 'admin' });
  orders = await takeOrders(ground);
});
afterEach(async () => {
  await Promise.all(sentinels.splice(0).map((sentinel) => sentinel.kill('SIGKILL')));
});
afterAll(async () => {
  await admin?.close();
  await ground?.stop();
});

const start = async (instance = 's1') => {
  const sentinel = await startSentinel(ground, instance);
  sentinels.push(sentinel);
  return sentinel;
};
const ordersOf = (agent: string) => orders.filter(({ scope }) => scope.id === agent);
const patience = { timeout: 20_000, interval: 100 };
const isOrdered = (agent: string) => expect.poll(() => ordersOf(agent).length, patience).toBe(1);
const incidents = async (): Promise<IncidentRecord[]> => {
  const answer = await operator.requestRaw('ops.operator.incidents', '{"v":1}', { of: 'sentinel', timeoutMs: 5_000 });
  return incidentsAnswer.parse(JSON.parse(new TextDecoder().decode(answer))).incidents;
};
const incidentsOf = async (agent: string) => (await incidents()).filter((incident) => incident.agent === agent);
/** Long enough for anything that is going to be said twice. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 2_500));

test('an event that comes several times counts once', async () => {
  await start();
  await evidence.refused('a0', { times: 5 });
  const second = await evidence.refused('a0', { times: 5 });
  await settled();
  expect(ordersOf('a0')).toEqual([]);
  const third = await evidence.refused('a0', { times: 5 });
  await isOrdered('a0');
  await settled();
  expect(ordersOf('a0')).toHaveLength(1);
  expect(ordersOf('a0')[0]?.events.slice(1)).toEqual([second, third]);
  expect(await incidentsOf('a0')).toMatchObject([{ state: 'contained', rule: 'probing' }]);
});

test('one that was killed in the middle goes on where it was, with what came while it was away', async () => {
  const first = await start();
  await evidence.refused('a1');
  await evidence.refused('a1');
  // Its position is written each second.
  await settled();
  await first.kill('SIGKILL');
  await evidence.refused('a1');
  await start();
  await isOrdered('a1');
  expect(ordersOf('a1')[0]?.events).toHaveLength(3);
});

test('two of them make one order and one incident; one alone goes on', async () => {
  const [, other] = await Promise.all([start('s1'), start('s2')]);
  for (let i = 0; i < 3; i++) await evidence.refused('a2');
  await isOrdered('a2');
  await settled();
  expect(ordersOf('a2')).toHaveLength(1);
  expect(await incidentsOf('a2')).toHaveLength(1);
  await other?.kill('SIGKILL');
  for (let i = 0; i < 3; i++) await evidence.refused('a3');
  await isOrdered('a3');
});

test('counting goes on when NATS was restarted', async () => {
  await start();
  await evidence.refused('a4');
  await evidence.refused('a4');
  await settled();
  await ground.nats.kill('SIGKILL');
  await ground.nats.start();
  await expect
    .poll(
      () =>
        evidence.refused('a4').then(
          () => true,
          () => false,
        ),
      patience,
    )
    .toBe(true);
  await isOrdered('a4');
});

test('somebody is stopped although the bucket of incidents is gone, and has an incident once it is back', async () => {
  const sentinel = await start();
  const restore = await takeAway('KV_INCIDENTS');
  for (let i = 0; i < 3; i++) await evidence.refused('a5');
  await expect.poll(() => ordersOf('a5').length, patience).toBeGreaterThan(0);
  await restore();
  await expect.poll(() => incidentsOf('a5'), patience).toMatchObject([{ state: 'contained' }]);
  expect(sentinel.logs()).toContain('an incident could not be opened yet');
});

test('says that it cannot write down what it counted, counts on, and is well once it can', async () => {
  const sentinel = await start();
  const restore = await takeAway('KV_SENTINEL');
  await evidence.refused('a6');
  await expect.poll(() => sentinel.problems(), patience).toEqual([expect.stringContaining('cannot be reached')]);
  await evidence.refused('a6');
  await evidence.refused('a6');
  await isOrdered('a6');
  await restore();
  await expect.poll(() => sentinel.problems(), patience).toEqual([]);
});

test.each<[string, string, () => Promise<unknown>]>([
  [
    'a lease of a canary credential',
    'a7',
    () =>
      evidence.write(
        'lease.issued',
        { credential: 'honey-key' },
        { agent: 'a7', session: sessionOf(1) },
        { by: 'credential-broker' },
      ),
  ],
  [
    'a risk score over its limit',
    'a8',
    async () => {
      await evidence.write('approval.rejected', {}, { agent: 'a8', session: sessionOf(1) }, { by: 'approvals' });
      await evidence.refused('a8', { code: 'SESSION_EXPIRED' });
    },
  ],
  [
    'an anomaly in evidence',
    sessionOf(9),
    () =>
      evidence.write('evidence.anomaly', { kind: 'orphan' }, { agent: 'a9', session: sessionOf(9) }, { by: 'audit' }),
  ],
])('%s stops whose it is', async (_, id, act) => {
  await start();
  await act();
  await isOrdered(id);
});

test("what is told by another service than the one whose business it is stops nobody: the broker's word on a call", async () => {
  const sentinel = await start();
  const decided = { call: 'call_0000000001', tool: 'files/read', decision: { action: 'deny', code: 'NO_GRANT' } };
  for (let i = 0; i < 3; i++)
    await evidence.write('call.decided', decided, { agent: 'a10' }, { by: 'credential-broker' });
  await evidence.write('lease.issued', { credential: 'honey-key' }, { agent: 'a10' }, { by: 'tool-runner' });
  await settled();
  expect(ordersOf('a10')).toEqual([]);
  expect(sentinel.logs()).toContain('is not of ingress');
  expect(sentinel.logs()).toContain('is not of credential-broker');
});

test('a log that was begun anew is an alarm, for nothing in it would count', async () => {
  const sentinel = await start();
  await evidence.refused('a11');
  await settled();
  const was = evidence.index;
  evidence.index = 0;
  await evidence.refused('a12');
  await expect.poll(() => sentinel.problems(), patience).toEqual([expect.stringContaining('counted already')]);
  while (evidence.index <= was) await evidence.refused('a11');
  await expect.poll(() => sentinel.problems(), patience).toEqual([]);
});

/** Deletes a stream under those who use it; the answer makes it anew, empty. */
const takeAway = async (stream: string) => {
  const api = async (verb: string, body: object) =>
    JSON.parse(
      new TextDecoder().decode(
        await admin.requestRaw(`$JS.API.STREAM.${verb}.${stream}`, JSON.stringify(body), {
          of: 'JetStream',
          timeoutMs: 5_000,
        }),
      ),
    ) as { config: object; error?: { description: string } };
  const { config } = await api('INFO', {});
  await api('DELETE', {});
  return async () => {
    const { error } = await api('CREATE', config);
    if (error) throw new Error(error.description);
  };
};
