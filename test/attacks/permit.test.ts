import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batcher, Bus } from '@agentgate/bus';
import {
  type DecideAnswer,
  type DecideAsk,
  type ExecuteAnswer,
  type ExecuteAsk,
  killCheck,
  type Permit,
  permitDomain,
  permitLines,
  policyDecide,
  runnerExecute,
  type TheCall,
} from '@agentgate/contracts';
import { canonical, generateSigningKey, sealBatch, sha256Hex, signingKeyFromSeed } from '@agentgate/evidence';
import { newId } from '@agentgate/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { openAgent, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';
import { intrude } from './intruder.ts';

// Ingress is taken over: the attacker has its NATS user and its signing key, and may ask policy, as ingress may.

let stack: Stack;
let ingress: Bus;
let decide: Batcher<DecideAsk, DecideAnswer>;
let execute: Batcher<ExecuteAsk, ExecuteAnswer>;
let session: string;
let second: string;

beforeAll(async () => {
  stack = await startStack();
  session = await (await openAgent(stack)).open();
  second = await (await openAgent(stack, 'agent-second')).open();
  ingress = await stack.connect('ingress');
  decide = ingress.batcher(policyDecide);
  execute = ingress.batcher(runnerExecute);
});
afterAll(() => stack?.stop());

const callOf = (tag: string, more: Partial<TheCall> = {}): TheCall => ({
  call: newId('call', Date.now()),
  tenant: 'default',
  agent: 'demo',
  session,
  tool: 'probe/echo',
  arguments: { text: tag },
  deadline: Date.now() + 9_000,
  ...more,
});
/** What policy really says of the call. */
const permitFor = async (call: TheCall): Promise<Permit> => {
  const { permit, decision } = await decide(call);
  if (!permit) throw new Error(`policy did not permit: ${decision.reason}`);
  return permit;
};
const epochNow = async () =>
  (await ingress.batcher(killCheck)({ tenant: 'default', agent: 'demo', session, tool: 'probe/echo' })).epoch;
const ask = async (call: TheCall, permit: Permit, epoch?: number): Promise<ExecuteAsk> => ({
  ...call,
  permit,
  epoch: epoch ?? (await epochNow()),
});
/** The permit with other claims, sealed by a key of the attacker's choice. */
const resealed = (permit: Permit, seed: string, claims: Partial<Permit['claims']> = {}): Permit => {
  const changed = { ...permit.claims, ...claims };
  const key = signingKeyFromSeed(seed);
  const [seal] = sealBatch({ domain: permitDomain, lines: permitLines, leaves: [canonical(changed)], key });
  if (!seal) throw new Error('no seal');
  return { claims: changed, seal };
};
const digestOf = ({ agent, arguments: args, call, session: ses, tenant, tool }: TheCall) =>
  sha256Hex(canonical({ agent, arguments: args, call, session: ses, tenant, tool }));

const expectRefused = async (answer: Promise<ExecuteAnswer>, tag: string, reason: RegExp) => {
  const { outcome, reason: why } = await answer;
  expect({ outcome, why }).toEqual({ outcome: 'refused', why: expect.stringMatching(reason) });
  expect(stack.probe.starts(tag)).toBe(0);
};

test('runs with the real permit: what follows fails for no other reason', async () => {
  const call = callOf('honest');
  expect(await execute(await ask(call, await permitFor(call)))).toMatchObject({ outcome: 'ok' });
  expect(stack.probe.starts('honest')).toBe(1);
});

test.each([
  ['no permit', (e: ExecuteAsk) => ({ ...e, permit: undefined })],
  ['an empty permit', (e: ExecuteAsk) => ({ ...e, permit: {} })],
  ['claims without a seal', (e: ExecuteAsk) => ({ ...e, permit: { claims: e.permit.claims } })],
  ['a permit with a field of its own', (e: ExecuteAsk) => ({ ...e, permit: { ...e.permit, trusted: true } })],
])('runs nothing with %s', async (what, spoil) => {
  const call = callOf(what);
  const good = await ask(call, await permitFor(call));
  await expect(execute(spoil(good) as ExecuteAsk)).rejects.toMatchObject({ code: 'FIELD_INVALID' });
  expect(stack.probe.starts(what)).toBe(0);
});

test("runs nothing with a permit under the attacker's own key, whatever keyid it claims", async () => {
  const tag = 'own key';
  const call = callOf(tag);
  const real = await permitFor(call);
  const forged = resealed(real, generateSigningKey().seed);
  await expectRefused(execute(await ask(call, forged)), tag, /policy did not sign/);
  const disguised = { ...forged, seal: { ...forged.seal, keyid: real.seal.keyid } };
  await expectRefused(execute(await ask(call, disguised)), tag, /policy did not sign/);
});

test("runs nothing with a permit under ingress' own trusted key: that key does not speak for policy", async () => {
  const tag = 'ingress key';
  const call = callOf(tag);
  const seed = readFileSync(join(stack.home, 'keys', 'sign', 'ingress.seed'), 'utf8').trim();
  await expectRefused(execute(await ask(call, resealed(await permitFor(call), seed))), tag, /policy did not sign/);
});

test('runs nothing when anything in the claims was changed', async () => {
  const tag = 'changed claims';
  const call = callOf(tag);
  const real = await permitFor(call);
  const changes: Partial<Permit['claims']>[] = [
    { expires_at: real.claims.expires_at + 1 },
    { deadline: real.claims.deadline + 60_000 },
    { id: 'prm_0123456789ab' },
    { obligations: { credential: { name: 'something' } } },
  ];
  for (const claims of changes)
    await expectRefused(
      execute(await ask(call, { ...real, claims: { ...real.claims, ...claims } })),
      tag,
      /did not sign/,
    );
});

test('runs a permit once: not again, not twice at once, not after the runner was killed', async () => {
  const tag = 'replayed';
  const call = callOf(tag);
  const sent = await ask(call, await permitFor(call));
  const together = await Promise.all([execute(sent), execute(sent), execute(sent)]);
  expect(together.filter((a) => a.outcome === 'ok')).toHaveLength(1);
  expect((await execute(sent)).outcome).toBe('refused');
  const was = stack.pid('tool-runner');
  stack.kill('tool-runner', 'SIGKILL');
  await stack.restarted('tool-runner', was);
  expect((await execute(sent)).outcome).toBe('refused');
  expect(stack.probe.starts(tag)).toBe(1);
});

test.each<[string, (call: TheCall) => Partial<TheCall>]>([
  ['arguments', () => ({ arguments: { text: 'other arguments' } })],
  ['agent', () => ({ agent: 'second' })],
  ['tenant', () => ({ tenant: 'acme' })],
  ['session', () => ({ session: second })],
  ['tool', () => ({ tool: 'probe/write', arguments: { text: 'x', path: '/etc/passwd' } })],
  ['call', () => ({ call: newId('call', Date.now()) })],
])('runs nothing with a permit for another %s', async (what, change) => {
  const tag = `for another ${what}`;
  const call = callOf(tag);
  const starts = stack.probe.starts();
  await expectRefused(execute(await ask({ ...call, ...change(call) }, await permitFor(call))), tag, /permit/);
  expect(stack.probe.starts()).toBe(starts);
});

test('runs nothing with a permit whose claims fit and whose digest is of another call', async () => {
  const tag = 'fitting claims';
  const call = callOf(tag);
  const other = await permitFor({ ...call, arguments: { text: 'harmless' } });
  expect(other.claims.call_digest).not.toBe(digestOf(call));
  await expectRefused(execute(await ask(call, other)), tag, /another call/);
});

test('runs nothing with a permit that has expired', async () => {
  const tag = 'expired';
  const call = callOf(tag);
  const permit = await permitFor(call);
  await eventually('it has expired', () => Date.now() > permit.claims.expires_at, 8_000);
  await expectRefused(execute(await ask(call, permit)), tag, /expired/);
});

test('runs nothing that was killed after it was permitted, whatever epoch the asker claims', async () => {
  const tag = 'killed meanwhile';
  const operator = await openOperator(stack);
  const call = callOf(tag);
  const permit = await permitFor(call);
  const old = await epochNow();
  await operator.kill({ kind: 'session', id: session });
  await expectRefused(execute(await ask(call, permit, old)), tag, /killed/);
  await expectRefused(execute(await ask(call, permit, 0)), tag, /killed/);
  await operator.lift({ kind: 'session', id: session });
});

test('runs nothing at an epoch that the runner has not seen', async () => {
  const tag = 'future epoch';
  const call = callOf(tag);
  const answer = execute(await ask(call, await permitFor(call), 1_000_000));
  await expectRefused(answer, tag, /epoch/);
});

test('gets no permit for a call that policy denies, and no say in whose session it is', async () => {
  const denied = await decide(callOf('denied', { tool: 'probe/write', arguments: { path: '/etc/passwd', text: 'x' } }));
  expect(denied).toMatchObject({ decision: { action: 'deny', code: 'ARGUMENT_NOT_ALLOWED' } });
  expect(denied.permit).toBeUndefined();
  const stolen = await decide(callOf('stolen', { agent: 'second' }));
  expect(stolen).toMatchObject({ decision: { action: 'deny', code: 'UNKNOWN_SESSION' } });
  expect(stolen.permit).toBeUndefined();
});

test("may say nothing that is another service's to say", async () => {
  const intruder = await intrude(stack, stack.creds('ingress'), '_INBOX_ingress');
  const subjects = [
    'svc.v1.broker.lease',
    'svc.v1.broker.release',
    'svc.v1.kill.pulse',
    'svc.v1.kill.hold',
    'svc.v1.points.contain',
    'events.v1.policy',
    'events.v1.audit',
    'evidence.v1.default.agentgate.call.completed.v1',
    'kill.v1.Z2xvYmFs',
    '$KV.AGENTS.default.demo',
    '$KV.TOOLS.abc',
    'tool.v1.queue.call',
    '_LATE_ingress.svc-v1-runner-execute.x',
    '$JS.API.STREAM.PURGE.KILL',
    '$JS.API.STREAM.DELETE.AUDIT',
    '$JS.API.STREAM.UPDATE.AUDIT',
  ];
  const through: string[] = [];
  for (const subject of subjects) if (!(await intruder.isRefusedToSay(subject, '{}'))) through.push(subject);
  for (const subject of ['svc.v1.policy.decide', 'svc.v1.runner.execute', 'svc.v1.kill.check', 'ops.v1.*.kill', '>'])
    if (!(await intruder.isRefusedToHear(subject))) through.push(`hears ${subject}`);
  expect(through).toEqual([]);
  await intruder.close();
});
