import type { ServiceName } from '@agentgate/contracts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { probeServer, testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';
import { expectHonest, expectRecovery, expectWholeEvidence, type Sent, startLoad } from './load.ts';

let stack: Stack;
let demo: Agent;
let operator: Operator;
let evidence: EvidenceReader;
let session: string;
const all: Sent[] = [];

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        servers: `  local:\n    ${probeServer(probeLog)}\n    credential: key\n    inject: { env: PROBE_SECRET }`,
        grants: '  - { id: local, to: { agents: [demo] }, tools: ["local/*"], effect: allow }',
        more: 'credentials:\n  key: { provider: static, from: { env: TEST_SECRET } }',
      }),
    env: { TEST_SECRET: 'a secret of the chaos tests' },
  });
  demo = await openAgent(stack);
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
  session = await demo.open();
});
afterAll(() => stack?.stop());

/** Kills the service in the middle of the load; returns what became of the calls until it was back. */
const killUnderLoad = async (service: ServiceName, tool?: string): Promise<Sent[]> => {
  const load = startLoad(demo, session, `kill ${service}`, tool);
  await eventually('the load is on', () => load.sent.filter((s) => s.reply?.status === 'ok').length > 5);
  const was = stack.pid(service);
  stack.kill(service, 'SIGKILL');
  await stack.restarted(service, was);
  await expectRecovery(demo, session, `SIGKILL of ${service}`);
  const sent = await load.stop();
  all.push(...sent);
  return sent;
};
const failures = (sent: readonly Sent[]) =>
  new Set(sent.flatMap((s) => (s.reply && s.reply.status !== 'ok' ? [s.reply.code] : [])));

describe('SIGKILL under load', () => {
  test('of policy: calls are unavailable, and nothing runs', async () => {
    const sent = await killUnderLoad('policy');
    expectHonest(stack, sent, /^unavailable$/);
    for (const code of failures(sent)) expect(code).toBe('POLICY_UNAVAILABLE');
  });

  test('of kill-switch: calls are unavailable, and nothing runs', async () => {
    const sent = await killUnderLoad('kill-switch');
    expectHonest(stack, sent, /^unavailable$/);
    for (const code of failures(sent)) expect(code).toBe('KILL_SWITCH_UNAVAILABLE');
  });

  test('of tool-runner: calls are unavailable, or outcome_unknown where they were handed over', async () => {
    const sent = await killUnderLoad('tool-runner');
    expectHonest(stack, sent, /^(unavailable|outcome_unknown|timeout)$/);
  });

  test('of ingress: calls are not answered', async () => {
    const sent = await killUnderLoad('ingress');
    expectHonest(stack, sent, /^(no answer|unavailable)$/);
  });

  test('of audit: calls go on, and evidence catches up', async () => {
    const sent = await killUnderLoad('audit');
    expectHonest(stack, sent, /^$/);
    await expectWholeEvidence(evidence, sent);
  });

  test('of credential-broker: calls that need a credential are unavailable, and others go on', async () => {
    const load = startLoad(demo, session, 'without a credential');
    const sent = await killUnderLoad('credential-broker', 'local/echo');
    expectHonest(stack, sent, /^unavailable$/);
    // A broker that has just started has no fresh view of the kills yet, and gives nothing without one.
    for (const code of failures(sent)) expect(code).toMatch(/^(BROKER|CREDENTIAL|KILL_SWITCH)_UNAVAILABLE$/);
    const plain = await load.stop();
    expectHonest(stack, plain, /^$/);
    all.push(...plain);
  });
});

test.each([
  ['policy', 'probe/echo', 'POLICY_UNAVAILABLE'],
  ['credential-broker', 'local/echo', 'BROKER_UNAVAILABLE'],
] as const)('a frozen %s is unavailable within 3 s, and nothing runs', async (service, tool, code) => {
  stack.kill(service, 'SIGSTOP');
  const began = performance.now();
  try {
    const tag = `frozen ${service}`;
    expect(await demo.call(session, tool, { text: tag })).toMatchObject({ status: 'unavailable', code });
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(stack.probe.starts(tag)).toBe(0);
  } finally {
    stack.kill(service, 'SIGCONT');
  }
  await expectRecovery(demo, session, `${service} was frozen`);
});

test('a frozen tool-runner leaves the outcome unknown, in evidence too', async () => {
  stack.kill('tool-runner', 'SIGSTOP');
  let reply: Awaited<ReturnType<Agent['call']>>;
  try {
    reply = await demo.call(session, 'probe/echo', { text: 'frozen runner' }, { timeout_ms: 3_000 });
  } finally {
    stack.kill('tool-runner', 'SIGCONT');
  }
  expect(reply.status).toMatch(/^(outcome_unknown|timeout)$/);
  const completed = await evidence.event('call.completed', reply.evidence?.completed);
  expect(completed.data.outcome).toMatch(/^(unknown|timeout)$/);
  await expectRecovery(demo, session, 'the runner was frozen');
});

test('a call in flight when the runner is killed is outcome_unknown, in evidence too', async () => {
  const running = demo.call(session, 'probe/stubborn', { ms: 1_500, tag: 'runner dies' }, { timeout_ms: 4_000 });
  await eventually('it runs', () => stack.probe.starts('runner dies') === 1);
  const was = stack.pid('tool-runner');
  stack.kill('tool-runner', 'SIGKILL');
  const reply = await running;
  expect(reply.status).toMatch(/^(outcome_unknown|timeout)$/);
  const completed = await evidence.event('call.completed', reply.evidence?.completed);
  expect(completed.data.outcome).toMatch(/^(unknown|timeout)$/);
  await stack.restarted('tool-runner', was);
  await expectRecovery(demo, session, 'the runner died');
});

test('a frozen kill-switch stops everything within 4 s, and what it held goes on after it', async () => {
  const load = startLoad(demo, session, 'frozen');
  await eventually('the load is on', () => load.sent.some((s) => s.reply?.status === 'ok'));
  stack.kill('kill-switch', 'SIGSTOP');
  const frozenAt = Date.now();
  try {
    await eventually('nothing is allowed', () => load.sent.at(-1)?.reply?.status === 'unavailable', 6_000);
    // The runner has its own view: a compromised ingress would get no further.
    await eventually('4 s are over', () => Date.now() - frozenAt > 4_200);
    const reply = await demo.call(session, 'probe/echo', { text: 'while frozen' });
    expect(reply).toMatchObject({ status: 'unavailable', code: 'KILL_SWITCH_UNAVAILABLE' });
    expect(stack.probe.starts('while frozen')).toBe(0);
    expect(await demo.ask('session', { v: 1 })).toMatchObject({ status: 'unavailable' });
  } finally {
    stack.kill('kill-switch', 'SIGCONT');
  }
  await expectRecovery(demo, session, 'the kill-switch was frozen');
  const sent = await load.stop();
  expectHonest(stack, sent, /^unavailable$/);
  all.push(...sent);
  expect(
    stack.probe.entries().filter((e) => e.event === 'start' && e.at > frozenAt + 3_300 && e.at < frozenAt + 4_200),
  ).toEqual([]);
});

test('a kill holds while any one service is killed and comes back', async () => {
  const dead = await demo.open();
  await operator.kill({ kind: 'session', id: dead });
  const load = startLoad(demo, dead, 'dead');
  const isKilled = () => load.sent.at(-1)?.reply?.status === 'killed';
  await eventually('the kill stands before', isKilled);
  for (const service of ['kill-switch', 'ingress', 'tool-runner', 'policy'] as const) {
    const was = stack.pid(service);
    stack.kill(service, 'SIGKILL');
    await stack.restarted(service, was);
  }
  await expectRecovery(demo, session, 'four services were killed');
  await eventually('the kill stands after', isKilled);
  const sent = await load.stop();
  expectHonest(stack, sent, /^(killed|unavailable|no answer)$/);
  expect(sent.filter((s) => s.reply?.status === 'ok')).toEqual([]);
  expect(stack.probe.entries().filter((e) => e.tag?.startsWith('dead '))).toEqual([]);
  await operator.lift({ kind: 'session', id: dead });
});

// Last in this file: it looks back on all of the above.
test('all that agents were told of is in evidence, once, and verifies', async () => {
  await expectWholeEvidence(evidence, all);
  const kinds = new Set(evidence.all('evidence.anomaly').map((e) => e.data.kind));
  // A service that was killed had accepted calls, and may have dispatched some, whose end nobody recorded.
  expect([...kinds].filter((kind) => kind !== 'orphan')).toEqual([]);
});
