import { AgentGateClientError, type CallOptions, type CallReply, type Session } from '@agentgate/client';
import { expect, test } from 'vitest';
import { type Caller, createMcpEdge, maxSessions, NoSuchTool } from '../src/service.ts';

const listing = (name: string) => ({ name, description: '', input_schema: {}, annotations: {} });
const ok: CallReply = { v: 1, status: 'ok', code: 'OK', reason: '' };

interface Made {
  session: string;
  tool: string;
  args: Record<string, unknown>;
  opts: CallOptions;
}

/** A gate that counts sessions and answers calls as it is told to. */
const bench = () => {
  let clock = Date.parse('2026-01-01T00:00:00Z');
  const purposes: (string | undefined)[] = [];
  const made: Made[] = [];
  const gate = {
    listed: ['fs/read'],
    answer: (_: Made): CallReply | Promise<CallReply> => ok,
    open: () => {},
  };
  const session = (id: string, expiresAt = ''): Session => ({
    id,
    expiresAt,
    call: async (tool, args, opts = {}) => {
      const call = { session: id, tool, args, opts };
      made.push(call);
      return gate.answer(call);
    },
    tools: async () => gate.listed.map(listing),
  });
  const client = {
    session,
    openSession: async ({ purpose }: { purpose?: string } = {}) => {
      gate.open();
      purposes.push(purpose);
      return session(`ses_${purposes.length}`, new Date(clock + 60_000).toISOString());
    },
  };
  const caller = (purpose?: string, user = 'U1'): Caller => ({ user, client: client as never, purpose });
  const edge = createMcpEdge({ now: () => clock, callTimeoutMs: 90_000 });
  const call = (name: string, args: Record<string, unknown> = {}, by = caller()) =>
    edge.call(by, name, args, new AbortController().signal);
  return { edge, gate, purposes, made, caller, call, pass: (ms: number) => (clock += ms) };
};

test('has one session for each agent and purpose', async () => {
  const { edge, caller, call, purposes, made } = bench();
  await Promise.all([call('fs__read'), call('fs__read')]);
  await call('fs__read', {}, caller('pay the bill'));
  await call('fs__read', {}, caller('pay the bill'));
  await call('fs__read', {}, caller(undefined, 'U2'));
  expect(purposes).toEqual([undefined, 'pay the bill', undefined]);
  expect(made.map(({ session }) => session)).toEqual(['ses_1', 'ses_1', 'ses_2', 'ses_2', 'ses_3']);
  expect(edge.sessions).toBe(3);
});

test('waits for a call as long as the gate lets it run', async () => {
  const { call, made } = bench();
  await call('fs__read');
  expect(made[0]?.opts).toMatchObject({ timeoutMs: 90_000 });
});

test('asks for a killed session again, and opens no other for as long as that would have lived', async () => {
  const { gate, call, purposes, edge, pass } = bench();
  gate.answer = () => ({ ...ok, status: 'killed', code: 'KILLED_SESSION' });
  for (let i = 0; i < 3; i++) {
    expect(await call('fs__read')).toMatchObject({ code: 'KILLED_SESSION' });
    edge.sweep();
    pass(10_000);
  }
  expect(purposes).toHaveLength(1);
});

test.each(['SESSION_EXPIRED', 'UNKNOWN_SESSION'] as const)(
  'opens another once the gate says %s, and calls again',
  async (code) => {
    const { gate, call, purposes, made } = bench();
    gate.answer = ({ session }) => (session === 'ses_1' ? { ...ok, status: 'denied', code } : ok);
    expect(await Promise.all([call('fs__read'), call('fs__read')])).toMatchObject([{ code: 'OK' }, { code: 'OK' }]);
    expect(purposes).toHaveLength(2);
    expect(made.map(({ session }) => session)).toEqual(['ses_1', 'ses_1', 'ses_2', 'ses_2']);
  },
);

test('calls once more and no oftener', async () => {
  const { gate, call, made } = bench();
  gate.answer = () => ({ ...ok, status: 'denied', code: 'UNKNOWN_SESSION' });
  expect(await call('fs__read')).toMatchObject({ code: 'UNKNOWN_SESSION' });
  expect(made).toHaveLength(2);
});

test.each(['OUTCOME_UNKNOWN', 'TIMEOUT', 'KILLED_AGENT', 'INTERNAL'] as const)(
  'never repeats a call that ended with %s',
  async (code) => {
    const { gate, call, made } = bench();
    gate.answer = () => {
      throw new AgentGateClientError(code, 'it ended');
    };
    expect(await call('fs__read')).toMatchObject({ code, reason: 'it ended' });
    expect(made).toHaveLength(1);
  },
);

test.each([
  ['NOT_CONNECTED', 'unavailable'],
  ['NO_ANSWER', 'unavailable'],
] as const)('replies what is so where no reply came: %s', async (code, status) => {
  const { gate, call } = bench();
  gate.open = () => {
    throw new AgentGateClientError(code, 'the gate is away');
  };
  expect(await call('fs__read')).toEqual({ v: 1, status, code: 'INTERNAL', reason: 'the gate is away' });
});

test('does not keep a session that could not be opened', async () => {
  const { gate, call } = bench();
  gate.open = () => {
    throw new AgentGateClientError('KILLED_AGENT', 'stopped');
  };
  expect(await call('fs__read')).toMatchObject({ status: 'killed', code: 'KILLED_AGENT' });
  gate.open = () => {};
  expect(await call('fs__read')).toMatchObject({ code: 'OK' });
});

test('bounds the sessions of one agent, and lets go of those whose time is over', async () => {
  const { call, caller, pass, edge } = bench();
  for (let i = 0; i < maxSessions; i++) await call('fs__read', {}, caller(`${i}`));
  expect(await call('fs__read', {}, caller('one more'))).toMatchObject({ status: 'unavailable', code: 'OVERLOADED' });
  expect(await call('fs__read', {}, caller('0'))).toMatchObject({ code: 'OK' });
  expect(await call('fs__read', {}, caller('another agent', 'U2'))).toMatchObject({ code: 'OK' });
  pass(61_000);
  edge.sweep();
  expect(edge.sessions).toBe(0);
  expect(await call('fs__read', {}, caller('one more'))).toMatchObject({ code: 'OK' });
});

test('refuses a name that means two tools, and one that means none', async () => {
  const { gate, call, made } = bench();
  gate.listed = ['a/b__c', 'a__b/c'];
  await expect(call('a__b__c')).rejects.toThrow(NoSuchTool);
  await expect(call('*')).rejects.toThrow(NoSuchTool);
  expect(made).toEqual([]);
});

test('has the gate decide on a tool that is not listed', async () => {
  const { call, made } = bench();
  await call('bank__transfer');
  await call('bank/transfer');
  expect(made.map(({ tool }) => tool)).toEqual(['bank/transfer', 'bank/transfer']);
});

const asked = (id: string): CallReply => ({
  v: 1,
  status: 'approval_required',
  code: 'APPROVAL_REQUIRED',
  reason: '',
  approval: { id, expires_at: '2026-01-01T00:00:30Z' },
});

test('brings the approval of exactly this call when it is made again, and of no other', async () => {
  const { gate, call, made, caller } = bench();
  gate.answer = ({ opts }) => (opts.approval === undefined ? asked('apr_1') : ok);
  expect(await call('fs__read', { a: 1, b: 2 })).toMatchObject({ status: 'approval_required' });
  await call('fs__read', { a: 1 });
  await call('fs__write', { a: 1, b: 2 });
  await call('fs__read', { a: 1, b: 2 }, caller('another purpose'));
  await call('fs__read', { a: 1, b: 2 }, caller(undefined, 'U2'));
  expect(made.filter(({ opts }) => opts.approval !== undefined)).toEqual([]);
  // The order of keys says nothing.
  expect(await call('fs__read', { b: 2, a: 1 })).toMatchObject({ status: 'ok' });
  expect(made.at(-1)).toMatchObject({ tool: 'fs/read', opts: { approval: 'apr_1' } });
  // Used up: the next one is another question.
  expect(await call('fs__read', { a: 1, b: 2 })).toMatchObject({ status: 'approval_required' });
});

test('says once that a person rejected it, and does not ask again by itself', async () => {
  const { gate, call, made } = bench();
  gate.answer = ({ opts }) =>
    opts.approval === undefined ? asked('apr_1') : { ...ok, status: 'denied', code: 'APPROVAL_INVALID' };
  await call('fs__read');
  expect(await call('fs__read')).toMatchObject({ code: 'APPROVAL_INVALID' });
  expect(made).toHaveLength(2);
});
