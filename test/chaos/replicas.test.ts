import type { KillReceipt } from '@agentgate/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Replica, replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';

// Two of every service but audit, which is the one sequencer. Whichever of them answers, dies or comes back: a kill is a kill.

const services = ['ingress', 'policy', 'kill-switch', 'credential-broker', 'tool-runner', 'approvals'];
const points = ['approvals', 'credential-broker', 'ingress', 'tool-runner'];
let stack: Stack;
let replicas: Replica[] = [];
let demo: Agent;
let operator: Operator;
let evidence: EvidenceReader;

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        servers: `  keyed:\n    stdio: { command: "${process.execPath}", args: ["${new URL('../fixtures/probe-tools.ts', import.meta.url).pathname}"], env: { PROBE_LOG: "${probeLog}" } }\n    credential: token\n    inject: { env: PROBE_SECRET }\n`,
        grants: '  - { id: keyed, to: { agents: [demo] }, tools: ["keyed/*"], effect: allow }',
        more: 'credentials: { token: { provider: jwt, audience: tools, ttl_s: 30 } }\n',
      }),
  });
  replicas = await Promise.all(services.map((service) => replicate(stack, service)));
  demo = await openAgent(stack);
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
  await eventually(
    'every point is known',
    async () => {
      const session = await demo.open();
      return pointsOf(await operator.kill({ kind: 'session', id: session })).length === 2 * points.length;
    },
    20_000,
  );
}, 120_000);
afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')));
  await stack?.stop();
});

const pointsOf = (receipt: KillReceipt) => receipt.points.map(({ service }) => service).sort();
const echo = async (session: string, text: string, tool = 'probe/echo') =>
  (await demo.call(session, tool, { text })).code;

test('calls go through whichever replicas they meet, each permit and each lease once', async () => {
  const session = await demo.open();
  const codes = await Promise.all(
    Array.from({ length: 60 }, (_, i) => echo(session, `many ${i}`, i % 6 === 0 ? 'keyed/echo' : 'probe/echo')),
  );
  expect(new Set(codes)).toEqual(new Set(['OK']));
  for (let i = 0; i < 60; i++) expect(stack.probe.starts(`many ${i}`)).toBe(1);
  await eventually('all leases ended', () => {
    const ended = evidence.all('lease.revoked').filter((e) => e.session === session);
    return ended.length === 10;
  });
});

test('a kill is confirmed by every replica, and holds at each of them', async () => {
  const session = await demo.open();
  const running = Array.from({ length: 8 }, (_, i) => demo.call(session, 'probe/slow', { ms: 8_000, tag: `run ${i}` }));
  await eventually('they run', () =>
    Array.from({ length: 8 }, (_, i) => stack.probe.starts(`run ${i}`)).every(Boolean),
  );
  const receipt = await operator.kill({ kind: 'session', id: session });
  expect(receipt).toMatchObject({ contained: true });
  expect(pointsOf(receipt)).toEqual([...points, ...points].sort());
  expect(receipt.calls).toHaveLength(8);
  expect((await Promise.all(running)).map(({ status }) => status)).toEqual(Array(8).fill('killed'));
  const after = await Promise.all(Array.from({ length: 24 }, (_, i) => echo(session, `after ${i}`)));
  expect(new Set(after)).toEqual(new Set(['KILLED_SESSION']));
  await operator.lift({ kind: 'session', id: session });
  await eventually('both views lifted it', async () => {
    const codes = await Promise.all(Array.from({ length: 12 }, (_, i) => echo(session, `lifted ${i}`)));
    return codes.every((code) => code === 'OK');
  });
});

test('orders that two operators give at the same moment to two kill-switches both stand', async () => {
  const sessions = await Promise.all(Array.from({ length: 20 }, () => demo.open()));
  const receipts = await Promise.all(sessions.map((id) => operator.kill({ kind: 'session', id })));
  expect(new Set(receipts.map(({ epoch }) => epoch)).size).toBe(20);
  expect(receipts.every(({ contained }) => contained)).toBe(true);
  const codes = await Promise.all(sessions.map((session) => echo(session, 'both')));
  expect(new Set(codes)).toEqual(new Set(['KILLED_SESSION']));
});

test('one of each dies: a receipt names who is silent, then counts without them, and calls go on', async () => {
  const session = await demo.open();
  await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')));
  replicas = [];
  const silent = await operator.kill({ kind: 'session', id: await demo.open() });
  expect(silent.contained).toBe(false);
  expect(
    silent.points
      .filter(({ confirmed_in_ms }) => confirmed_in_ms === null)
      .map(({ service }) => service)
      .sort(),
  ).toEqual(points);
  await eventually('calls go on', async () => (await echo(session, `on ${Math.random()}`)) === 'OK', 20_000);
  await eventually(
    'the dead are not waited for any more',
    async () => {
      const receipt = await operator.kill({ kind: 'session', id: await demo.open() });
      return receipt.contained && pointsOf(receipt).length === points.length;
    },
    30_000,
  );
}, 60_000);
