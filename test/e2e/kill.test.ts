import { type KillReceipt, killHold, type Scope } from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let demo: Agent;
let second: Agent;
let foreign: Agent;
let operator: Operator;

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  second = await openAgent(stack, 'agent-second');
  foreign = await openAgent(stack, 'acme.agent-demo');
  operator = await openOperator(stack);
});
afterAll(() => stack?.stop());

const echo = async (agent: Agent, session: string, tag: string) => {
  const reply = await agent.call(session, 'probe/echo', { text: tag });
  expect(stack.probe.starts(tag)).toBe(reply.status === 'ok' ? 1 : 0);
  return reply.code;
};

/** Ed25519 over the receipt without its signature, by the kill-switch's key and nobody else's. */
const isSigned = ({ signature, ...receipt }: KillReceipt): boolean => {
  const bytes = Buffer.from(`agentgate-receipt-v1\n${canonical(receipt)}`);
  return stack.trust.keysOf('kill-switch').some((key) => key.verify(bytes, Buffer.from(signature, 'base64')));
};

describe('a kill', () => {
  test('of a session stops that session alone, until it is lifted', async () => {
    const [killed, free] = [await demo.open(), await demo.open()];
    const receipt = await operator.kill({ kind: 'session', id: killed });
    expect(receipt).toMatchObject({ scope: { kind: 'session', id: killed }, contained: true, calls: [] });
    expect(receipt.contained_in_ms).toBeLessThan(2_000);
    expect(receipt.points.map((p) => p.service).sort()).toEqual([
      'approvals',
      'credential-broker',
      'ingress',
      'tool-runner',
    ]);
    expect(receipt.points.every((p) => p.confirmed_in_ms !== null)).toBe(true);
    expect(isSigned(receipt)).toBe(true);
    expect(isSigned({ ...receipt, contained: false })).toBe(false);
    expect(await echo(demo, killed, 'session killed')).toBe('KILLED_SESSION');
    expect(await demo.ask('tools', { v: 1, session: killed })).toMatchObject({ code: 'KILLED_SESSION' });
    expect(await echo(demo, free, 'session free')).toBe('OK');
    const lifted = await operator.lift({ kind: 'session', id: killed });
    expect(lifted.status).toBe('lifted');
    expect(lifted.epoch).toBeGreaterThan(receipt.epoch);
    expect(await echo(demo, killed, 'session lifted')).toBe('OK');
  });

  test('of an agent stops its sessions and the opening of new ones, and nobody else', async () => {
    const session = await demo.open();
    const running = demo.call(session, 'probe/slow', { ms: 20_000, tag: 'agent running' });
    await eventually('the call runs', () => stack.probe.starts('agent running') === 1);
    const states: string[] = [];
    demo.bus.onState((state) => void states.push(state));
    const receipt = await operator.kill({ kind: 'agent', id: 'demo' });
    expect(receipt.contained).toBe(true);
    expect(receipt.points.at(-1)).toMatchObject({ service: 'nats-server', confirmed_in_ms: expect.any(Number) });
    // It heard of its call, then its connection was cut; the next one is told what stands against it.
    expect(await running).toMatchObject({ status: 'killed', code: 'KILLED_AGENT' });
    await eventually('the connection was cut', () => states[0] === 'disconnected');
    await eventually('the agent connected anew', () => demo.bus.connected());
    expect(await echo(demo, session, 'agent killed')).toBe('KILLED_AGENT');
    expect(await demo.ask('session', { v: 1 })).toMatchObject({ status: 'killed', code: 'KILLED_AGENT' });
    expect(await demo.ask('tools', { v: 1 })).toMatchObject({ status: 'killed' });
    expect(await echo(second, await second.open(), 'agent second')).toBe('OK');
    // The agent of the same name in another tenant is another agent.
    expect(await echo(foreign, await foreign.open(), 'agent foreign')).toBe('OK');
    expect((await operator.lift({ kind: 'agent', id: 'demo' })).status).toBe('lifted');
    expect(await echo(demo, session, 'agent lifted')).toBe('OK');
  });

  test('of a tool stops that tool for everybody, or in the tenant that it names', async () => {
    const sessions = [await demo.open(), await foreign.open()] as const;
    await operator.kill({ kind: 'tool', id: 'probe/echo' });
    expect(await echo(demo, sessions[0], 'tool killed')).toBe('KILLED_TOOL');
    expect(await echo(foreign, sessions[1], 'tool killed too')).toBe('KILLED_TOOL');
    expect((await demo.call(sessions[0], 'probe/big', { bytes: 10 })).status).toBe('ok');
    await operator.lift({ kind: 'tool', id: 'probe/echo' });
    await operator.kill({ kind: 'tool', id: 'probe/echo', tenant: 'acme' });
    expect(await echo(demo, sessions[0], 'tool here')).toBe('OK');
    expect(await echo(foreign, sessions[1], 'tool there')).toBe('KILLED_TOOL');
    await operator.lift({ kind: 'tool', id: 'probe/echo', tenant: 'acme' });
    expect(await echo(foreign, sessions[1], 'tool lifted')).toBe('OK');
  });

  test('of a tenant stops its agents; of everything stops everybody', async () => {
    const sessions = [await demo.open(), await foreign.open()] as const;
    await operator.kill({ kind: 'tenant', id: 'acme' });
    expect(await echo(foreign, sessions[1], 'tenant killed')).toBe('KILLED_TENANT');
    expect(await echo(demo, sessions[0], 'tenant other')).toBe('OK');
    await operator.kill({ kind: 'global' });
    expect(await echo(demo, sessions[0], 'global killed')).toBe('KILLED_GLOBAL');
    expect(await echo(foreign, sessions[1], 'global outranks')).toBe('KILLED_GLOBAL');
    expect((await operator.kills()).kills.map((k) => k.scope.kind)).toEqual(['global', 'tenant']);
    await operator.lift({ kind: 'global' });
    expect(await echo(foreign, sessions[1], 'tenant still')).toBe('KILLED_TENANT');
    await operator.lift({ kind: 'tenant', id: 'acme' });
    expect(await echo(foreign, sessions[1], 'tenant lifted')).toBe('OK');
  });

  test('ends the calls in flight, and the receipt says what became of each', async () => {
    const [session, other] = [await demo.open(), await demo.open()];
    const running = demo.call(session, 'probe/slow', { ms: 8_000, tag: 'in flight' });
    const deaf = demo.call(session, 'probe/stubborn', { ms: 2_500, tag: 'in flight, deaf' });
    const spared = demo.call(other, 'probe/slow', { ms: 1_500, tag: 'spared' });
    for (const tag of ['in flight', 'in flight, deaf', 'spared'])
      await eventually(`${tag} began`, () => stack.probe.starts(tag) === 1);
    const receipt = await operator.kill({ kind: 'session', id: session });
    const ended = [await running, await deaf];
    for (const reply of ended) expect(reply).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
    expect(receipt.calls.map((c) => c.call).sort()).toEqual(ended.map((r) => r.call).sort());
    expect(receipt.calls.every((c) => c.fate === 'aborted' || c.fate === 'unknown')).toBe(true);
    await eventually('the tool stopped', () => stack.probe.has('stopped', 'in flight'));
    expect(stack.probe.has('end', 'in flight')).toBe(false);
    expect((await spared).status).toBe('ok');
    await operator.lift({ kind: 'session', id: session });
  });

  test('ends calls at its first word, before the order is on disk, and lets go where no order comes', async () => {
    const session = await demo.open();
    const running = demo.call(session, 'probe/slow', { ms: 8_000, tag: 'held' });
    await eventually('it runs', () => stack.probe.starts('held') === 1);
    // The kill-switch's own first message, from one that dies before it writes.
    const dying = await stack.connect('kill-switch');
    dying.notify(killHold, { v: 1, scope: { kind: 'session', id: session } });
    expect(await running).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
    await eventually('the tool stopped', () => stack.probe.has('stopped', 'held'));
    expect(await echo(demo, session, 'held still')).toBe('KILLED_SESSION');
    expect((await operator.kills()).kills).toEqual([]);
    await eventually('it lets go', async () => {
      const reply = await demo.call(session, 'probe/echo', { text: 'let go' });
      return reply.status === 'ok';
    });
  });

  test('ends by itself after expires_in_ms, and is listed with its end', async () => {
    const id = await demo.open();
    await operator.kill({ kind: 'session', id }, { expires_in_ms: 1_500 });
    const { kills } = await operator.kills();
    expect(kills.find((k) => k.scope.kind === 'session' && k.scope.id === id)).toMatchObject({
      by: 'operator',
      reason: 'a test kills',
      expires_at: expect.any(String),
    });
    expect(await echo(demo, id, 'expires: killed')).toBe('KILLED_SESSION');
    await eventually('the kill ended', async () => {
      const reply = await demo.call(id, 'probe/echo', { text: 'expires: over' });
      return reply.status === 'ok';
    });
    expect((await operator.kills()).kills).toEqual([]);
  });

  test('stands with the later epoch when ordered twice, and is lifted once', async () => {
    const scope: Scope = { kind: 'session', id: await demo.open() };
    const [first, again] = [await operator.kill(scope), await operator.kill(scope)];
    expect(again.epoch).toBeGreaterThan(first.epoch);
    expect((await operator.kills()).kills).toHaveLength(1);
    expect((await operator.lift(scope)).status).toBe('lifted');
    expect((await operator.lift(scope)).status).toBe('not_killed');
  });

  test.each([
    ['kill', { reason: 'no scope' }],
    ['kill', { scope: { kind: 'session', id: 'not an id' }, reason: 'x' }],
    ['kill', { scope: { kind: 'galaxy' }, reason: 'x' }],
    ['kill', { scope: { kind: 'agent', id: '*' }, reason: 'x' }],
    ['kill', { scope: { kind: 'global' }, reason: '' }],
    ['kill', { scope: { kind: 'global' }, reason: 'x', by: 'somebody else' }],
    ['kill', { scope: { kind: 'global' }, reason: 'x', expires_in_ms: -1 }],
    ['kill', '{"v":1,"scope":{"kind":"global"},"reason":"x","reason":"y"}'],
    ['lift', { scope: { kind: 'global', id: 'x' }, reason: 'x' }],
    ['kills', { all: true }],
    ['kills', 'nonsense'],
  ])('is refused as invalid: %s %j', async (verb, body) => {
    expect(await operator.ask(verb, body)).toMatchObject({ status: 'invalid' });
    expect((await operator.kills()).kills).toEqual([]);
  });
});

describe('after a restart of the whole stack', () => {
  test('kills, sessions, keys and evidence are still there', async () => {
    const [killed, free] = [await demo.open(), await demo.open()];
    const receipt = await operator.kill({ kind: 'session', id: killed });
    const kept = await demo.call(free, 'probe/echo', { text: 'before the restart' }, { key: 'restart' });
    const { status } = stack;
    await stack.restart('SIGINT');
    await eventually('the agent is connected again', () => demo.bus.connected());
    const { kills } = await eventually('the operator is answered', () => operator.kills());
    expect(kills).toEqual([expect.objectContaining({ epoch: receipt.epoch, scope: receipt.scope, by: 'operator' })]);
    expect(await echo(demo, killed, 'killed before the restart')).toBe('KILLED_SESSION');
    expect(await echo(demo, free, 'free after the restart')).toBe('OK');
    expect(await demo.call(free, 'probe/echo', { text: 'before the restart' }, { key: 'restart' })).toEqual(kept);
    expect(stack.probe.starts('before the restart')).toBe(1);
    const evidence = await readEvidence(stack);
    await evidence.event('call.completed', kept.evidence?.completed);
    const entries = evidence.entries();
    expect(entries.map((e) => e.index)).toEqual(entries.map((_, i) => i));
    expect(entries.every((e) => e.verdict.ok && e.hashHolds)).toBe(true);
    expect(evidence.all('evidence.anomaly')).toEqual([]);
    expect(evidence.all('producer.stopped').length).toBeGreaterThan(0);
    expect(stack.readStatus().log).toEqual(status.log);
    await operator.lift({ kind: 'session', id: killed });
  });
});
