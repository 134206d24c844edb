import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@agentgate/client';
import { canonical, sha256Hex } from '@agentgate/evidence';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent, openOperator, textOf } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let demo: Agent;
let second: Agent;
let session: string;
let evidence: EvidenceReader;

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  second = await openAgent(stack, 'agent-second');
  session = await demo.open('the tests of a call');
  evidence = await readEvidence(stack);
});
afterAll(() => stack?.stop());

/** Waits until the probe began a call with this tag. */
const begun = (tag: string) => eventually(`${tag} began`, () => stack.probe.starts(tag) > 0);

describe('what a call ends with', () => {
  test('ok with the result and both events, when a grant allows it', async () => {
    const reply = await demo.call(session, 'probe/echo', { text: 'hello' });
    expect(reply).toMatchObject({ status: 'ok', code: 'OK', result: { content: [{ type: 'text', text: 'hello' }] } });
    const decided = await evidence.event('call.decided', reply.evidence?.decided);
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(decided).toMatchObject({ subject: reply.call, tenant: 'default', agent: 'demo', session });
    expect(decided.data).toMatchObject({
      call: reply.call,
      tool: 'probe/echo',
      arguments: { text: 'hello' },
      decision: { action: 'allow', rule: 'plain' },
      policy: { digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      kill_epoch: expect.any(Number),
    });
    expect(completed.data).toMatchObject({ call: reply.call, outcome: 'ok', redacted: [] });
    expect(completed.data.result_digest).toMatch(/^[0-9a-f]{64}$/);
    expect(completed.data.result_digest).not.toBe(sha256Hex(canonical(reply.result)));
  });

  test('tool_error with its own text, when the tool reports an error', async () => {
    const reply = await demo.call(session, 'probe/fail', {});
    expect(reply).toMatchObject({ status: 'tool_error', code: 'TOOL_ERROR' });
    expect(textOf(reply)).toBe('this tool always fails');
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(completed.data).toMatchObject({ call: reply.call, outcome: 'tool_error' });
  });

  test('tool_error without the result, when the result is larger than result_bytes', async () => {
    const reply = await demo.call(session, 'probe/big', { bytes: 70_000 });
    expect(reply).toMatchObject({ status: 'tool_error', code: 'TOOL_ERROR' });
    expect(reply.reason).toMatch(/65536/);
    expect(reply.result).toBeUndefined();
    const nearly = await demo.call(session, 'probe/big', { bytes: 65_000 });
    expect(textOf(nearly)).toHaveLength(65_000);
  });

  test('denied NO_GRANT, when no grant names the agent', async () => {
    const stranger = await openAgent(stack, 'agent-stranger');
    const reply = await stranger.call(await stranger.open(), 'probe/echo', { text: 'no grant' });
    expect(reply).toMatchObject({ status: 'denied', code: 'NO_GRANT' });
    expect(stack.probe.starts('no grant')).toBe(0);
    const decided = await evidence.event('call.decided', reply.evidence?.decided);
    expect(decided.data).toMatchObject({ call: reply.call, decision: { action: 'deny', code: 'NO_GRANT' } });
    expect(reply.evidence?.completed).toBeUndefined();
  });

  test('denied by the rule that denies, although another one allows', async () => {
    const reply = await demo.call(session, 'probe/danger', {});
    expect(reply).toMatchObject({ status: 'denied', code: 'POLICY_DENIED', rule: 'never' });
  });

  test.each(['/etc/passwd', '/srv/box/../../etc/passwd', '/srv/boxes/a', '/srv/box/%2e%2e/a', 'srv/box/a'])(
    'denied ARGUMENT_NOT_ALLOWED with pointer and rule, when the path is %s',
    async (path) => {
      const reply = await demo.call(session, 'probe/write', { path, text: 'x' });
      expect(reply).toMatchObject({ status: 'denied', code: 'ARGUMENT_NOT_ALLOWED', rule: 'box' });
      expect(reply.reason).toMatch(/\/path/);
      expect(reply.reason).toMatch(/box/);
      expect(stack.probe.starts(path)).toBe(0);
    },
  );

  test('ok, when the path is inside', async () => {
    const reply = await demo.call(session, 'probe/write', { path: '/srv/box/a.txt', text: 'x' });
    expect(reply.status).toBe('ok');
  });

  test.each(['probe/nothing', 'nowhere/echo'])('denied UNKNOWN_TOOL for %s', async (tool) => {
    expect(await demo.call(session, tool, {})).toMatchObject({ status: 'denied', code: 'UNKNOWN_TOOL' });
  });

  test('denied UNKNOWN_SESSION for a session that never was', async () => {
    const reply = await demo.call('ses_0123456789abcdef', 'probe/echo', { text: 'no session' });
    expect(reply).toMatchObject({ status: 'denied', code: 'UNKNOWN_SESSION' });
    expect(stack.probe.starts('no session')).toBe(0);
  });

  test("denied UNKNOWN_SESSION for another agent's session, of the same tenant or of another", async () => {
    const foreign = await openAgent(stack, 'acme.agent-demo');
    for (const agent of [second, foreign]) {
      const reply = await agent.call(session, 'probe/echo', { text: 'stolen' });
      expect(reply).toMatchObject({ status: 'denied', code: 'UNKNOWN_SESSION' });
    }
    expect(stack.probe.starts('stolen')).toBe(0);
  });

  test('approval_required and recorded, when the grant says so', async () => {
    const at = await second.open();
    const reply = await second.call(at, 'probe/write', { path: '/srv/box/b.txt', text: 'x' });
    expect(reply).toMatchObject({ status: 'approval_required', code: 'APPROVAL_REQUIRED', rule: 'ask-first' });
    const decided = await evidence.event('call.decided', reply.evidence?.decided);
    expect(decided.data.decision).toMatchObject({ action: 'require_approval', rule: 'ask-first' });
    const again = await second.call(
      at,
      'probe/write',
      { path: '/srv/box/b.txt', text: 'x' },
      { approval: 'apr_0123456789ab' },
    );
    expect(again).toMatchObject({ status: 'denied', code: 'APPROVAL_INVALID' });
    expect(stack.probe.starts('/srv/box/b.txt')).toBe(0);
  });

  test("invalid with the field, when the arguments do not fit the tool's schema", async () => {
    const reply = await demo.call(session, 'probe/echo', { text: 7, tag: 'bad argument' });
    expect(reply).toMatchObject({ status: 'invalid', code: 'FIELD_INVALID' });
    expect(reply.reason).toMatch(/\/text/);
    expect(stack.probe.starts('bad argument')).toBe(0);
  });

  test('outcome_unknown, when the tool server dies in the middle; the next call is served', async () => {
    const reply = await demo.call(session, 'probe/crash', { tag: 'crash' });
    expect(reply).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(completed.data).toMatchObject({ call: reply.call, outcome: 'unknown' });
    await eventually('the server is back', async () => {
      const next = await demo.call(session, 'probe/echo', { text: 'after the crash' });
      return next.status === 'ok';
    });
  });
});

describe('how a call ends early', () => {
  test('timeout at its own deadline, and cancelled upstream', async () => {
    const began = performance.now();
    const reply = await demo.call(session, 'probe/slow', { ms: 8_000, tag: 'late' }, { timeout_ms: 500 });
    expect(reply).toMatchObject({ status: 'timeout', code: 'TIMEOUT' });
    expect(performance.now() - began).toBeLessThan(2_500);
    await eventually('the tool stopped', () => stack.probe.has('stopped', 'late'));
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(completed.data).toMatchObject({ call: reply.call, outcome: 'timeout' });
  });

  test('cancelled by its key, and the tool stops', async () => {
    const running = demo.call(session, 'probe/slow', { ms: 8_000, tag: 'by-key' }, { key: 'cancel-me' });
    await begun('by-key');
    expect((await demo.ask('cancel', { v: 1, key: 'cancel-me' })).status).toMatch(/^(aborted|unknown)$/);
    expect(await running).toMatchObject({ status: 'cancelled', code: 'CANCELLED' });
    await eventually('the tool stopped', () => stack.probe.has('stopped', 'by-key'));
    expect(stack.probe.has('end', 'by-key')).toBe(false);
  });

  test('cancelled by its id, which evidence names; not by another agent', async () => {
    const running = demo.call(session, 'probe/slow', { ms: 8_000, tag: 'by-id' });
    await begun('by-id');
    const decided = await eventually('its decision', () =>
      evidence.all('call.decided').find((e) => (e.data.arguments as { tag?: string })?.tag === 'by-id'),
    );
    const { call } = decided.data;
    expect(await second.ask('cancel', { v: 1, call })).toEqual({ v: 1, status: 'not_found' });
    expect((await demo.ask('cancel', { v: 1, call })).status).toMatch(/^(aborted|unknown)$/);
    expect(await running).toMatchObject({ status: 'cancelled', call });
  });

  test('not_found, when nothing of that name runs', async () => {
    expect(await demo.ask('cancel', { v: 1, key: 'never used' })).toEqual({ v: 1, status: 'not_found' });
    expect(await demo.ask('cancel', { v: 1, call: 'call_0123456789ab' })).toEqual({ v: 1, status: 'not_found' });
  });

  test('completed, when it had ended before', async () => {
    const { call } = await demo.call(session, 'probe/echo', { text: 'over' }, { key: 'over' });
    for (const which of [{ call }, { key: 'over' }])
      expect(await demo.ask('cancel', { v: 1, ...which })).toEqual({ v: 1, status: 'completed' });
    expect(await second.ask('cancel', { v: 1, call })).toEqual({ v: 1, status: 'not_found' });
  });

  test('cancelled with its fate unknown, when the tool does not listen', async () => {
    const running = demo.call(session, 'probe/stubborn', { ms: 3_000, tag: 'deaf' }, { key: 'deaf' });
    await begun('deaf');
    expect(await demo.ask('cancel', { v: 1, key: 'deaf' })).toEqual({ v: 1, status: 'unknown' });
    const reply = await running;
    expect(reply.status).toBe('cancelled');
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(completed.data.outcome).toBe('unknown');
  });

  test("cancelled through the client's signal", async () => {
    const client = await connect({ servers: stack.status.nats, creds: stack.creds('agent-demo') });
    try {
      const opened = await client.openSession({ purpose: 'the client' });
      expect((await opened.tools()).map((t) => t.name)).toContain('probe/echo');
      const stop = new AbortController();
      const running = opened.call('probe/slow', { ms: 8_000, tag: 'client' }, { signal: stop.signal });
      await begun('client');
      stop.abort();
      expect((await running).status).toBe('cancelled');
    } finally {
      await client.close();
    }
  });
});

describe('an idempotency key', () => {
  test('runs once, and gives everybody the first reply', async () => {
    const ask = () => demo.call(session, 'probe/echo', { text: 'once' }, { key: 'k-once' });
    const together = await Promise.all([ask(), ask(), ask()]);
    const later = await ask();
    expect(new Set([...together, later].map((r) => r.call)).size).toBe(1);
    expect(later).toEqual(together[0]);
    expect(stack.probe.starts('once')).toBe(1);
  });

  test('is KEY_REUSED with other content, and another agent may use the same', async () => {
    await demo.call(session, 'probe/echo', { text: 'first' }, { key: 'k-reused' });
    const other = await demo.call(session, 'probe/echo', { text: 'other' }, { key: 'k-reused' });
    expect(other).toMatchObject({ status: 'invalid', code: 'KEY_REUSED', reason: expect.stringMatching(/key/) });
    expect(stack.probe.starts('other')).toBe(0);
    const theirs = await second.call(await second.open(), 'probe/echo', { text: 'theirs' }, { key: 'k-reused' });
    expect(theirs.status).toBe('ok');
  });

  test('outlives ingress', async () => {
    const first = await demo.call(session, 'probe/echo', { text: 'kept' }, { key: 'k-kept' });
    const was = stack.pid('ingress');
    stack.kill('ingress', 'SIGKILL');
    await stack.restarted('ingress', was);
    expect(await demo.call(session, 'probe/echo', { text: 'kept' }, { key: 'k-kept' })).toEqual(first);
    expect(stack.probe.starts('kept')).toBe(1);
  });
});

describe('tools', () => {
  test('lists what policy lets this agent call, with their schemas', async () => {
    const listed = async (agent: Agent) =>
      ((await agent.ask('tools', { v: 1, session: await agent.open() })).tools as { name: string }[]).map(
        (t) => t.name,
      );
    const mine = await listed(demo);
    expect(mine).toEqual(expect.arrayContaining(['probe/echo', 'probe/slow', 'probe/write']));
    expect(mine).not.toContain('probe/danger');
    expect(mine).not.toContain('probe/leak');
    expect(await listed(await openAgent(stack, 'agent-stranger'))).toEqual([]);
    const { tools } = (await demo.ask('tools', { v: 1 })) as { tools: { name: string }[] };
    expect(tools.find((t) => t.name === 'probe/echo')).toEqual({
      name: 'probe/echo',
      description: expect.any(String),
      input_schema: expect.objectContaining({ type: 'object', required: ['text'] }),
      annotations: expect.any(Object),
    });
  });

  test("gives a tool's process nothing of the services' environment", async () => {
    const reply = await demo.call(session, 'probe/environment', {});
    expect(
      textOf(reply)
        ?.split(' ')
        .filter((name) => /AGENTGATE|SECRET|NATS|REDIS/.test(name)),
    ).toEqual([]);
  });
});

describe('evidence', () => {
  test('holds a salted digest in place of arguments above 32 KiB', async () => {
    const text = 'long '.repeat(8_000);
    const reply = await demo.call(session, 'probe/echo', { text });
    expect(reply.status).toBe('ok');
    const { data } = await evidence.event('call.decided', reply.evidence?.decided);
    expect(data.arguments).toBeUndefined();
    const bytes = Buffer.byteLength(canonical({ text }));
    expect(data.arguments_digest).toEqual({ sha256: expect.stringMatching(/^[0-9a-f]{64}$/), bytes });
  });

  test('records the session with its purpose', async () => {
    const opened = await demo.open('water the plants');
    const event = await eventually('session.opened', () =>
      evidence.all('session.opened').find((e) => e.data.session === opened),
    );
    expect(event).toMatchObject({ agent: 'demo', tenant: 'default', data: { purpose: 'water the plants' } });
  });

  test('records a kill, its containment and its end', async () => {
    const operator = await openOperator(stack);
    const scope = { kind: 'session' as const, id: await demo.open() };
    const receipt = await operator.kill(scope);
    await operator.lift(scope);
    const about = <T extends { data: { scope: object } }>(events: T[]) =>
      events.find((e) => canonical(e.data.scope) === canonical(scope));
    const contained = await eventually('kill.contained', () => about(evidence.all('kill.contained')));
    expect(contained.data).toEqual(receipt);
    const ordered = await eventually('kill.ordered', () => about(evidence.all('kill.ordered')));
    expect(ordered.data).toMatchObject({ epoch: receipt.epoch, by: 'operator', reason: 'a test kills' });
    const lifted = await eventually('kill.lifted', () => about(evidence.all('kill.lifted')));
    expect(lifted.data).toMatchObject({ by: 'operator', reason: 'a test lifts' });
  });

  // Last in this file: it looks back on everything that was recorded.
  test('is whole: indices without a hole, every seal and leaf hash holds, every chain is unbroken, nothing is anomalous', async () => {
    const entries = evidence.entries();
    expect(entries.map((e) => e.index)).toEqual(entries.map((_, i) => i));
    expect(entries.filter((e) => !e.verdict.ok || !e.hashHolds)).toEqual([]);
    expect(evidence.all('evidence.anomaly')).toEqual([]);
    const chains = new Map<string, { seq: number; prev: string }>();
    for (const { event, canonicalEvent, subject } of entries) {
      const at = `${event.source} ${event.producerepoch}`;
      const before = chains.get(at) ?? { seq: 0, prev: '' };
      expect({ at, seq: event.producerseq, prev: event.producerprev }).toEqual({
        at,
        seq: before.seq + 1,
        prev: before.prev,
      });
      chains.set(at, { seq: event.producerseq, prev: sha256Hex(canonicalEvent) });
      expect(subject).toBe(`evidence.v1.${event.tenant ?? '_'}.${event.type}`);
    }
    expect(chains.size).toBeGreaterThanOrEqual(6);
  });
});

test('nothing in its home can be read by anybody else', () => {
  const open = readdirSync(stack.home, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^(keys|creds|run)(\/|$)|\.(json|conf)$/.test(file))
    .filter((file) => (statSync(join(stack.home, file)).mode & 0o077) !== 0);
  expect(open).toEqual([]);
  expect(statSync(stack.home).mode & 0o777).toBe(0o700);
});
