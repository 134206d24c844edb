import type { Client } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { eras, openMcp, postMcp, tokenOf } from '../fixtures/mcp-client.ts';
import { type Operator, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// An agent that speaks MCP and nothing else, in front of a running stack: one line of its set-up, and all promises hold.

let stack: Stack;
let operator: Operator;
let evidence: EvidenceReader;

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        grants:
          '  - { id: named, to: { agents: [demo] }, tools: [probe/write], where: { /path: { under: /srv/purpose } }, effect: allow }\n',
        more: 'approvals: { ttl_s: 60 }\n',
      }),
  });
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
});
afterAll(() => stack?.stop());

interface Told {
  call: string;
  status: string;
  code: string;
  approval?: { id: string };
  evidence: { decided: string; completed?: string };
}
const call = async (client: Client, name: string, args: Record<string, unknown>, options = {}) => {
  const result = await client.callTool({ name, arguments: args }, options);
  const [first] = result.content as { text?: string }[];
  return { text: first?.text, isError: result.isError === true, ...(result._meta?.['agentgate/reply'] as Told) };
};
const { run } = createCommand(() => stack.home);

describe.each(eras)('a client that begins as %s', (era) => {
  let client: Client;
  beforeAll(async () => {
    client = await openMcp(stack, { era });
  });
  afterAll(() => client?.close());

  test('learns whom it speaks with, and sees the tools that policy lets this agent call', async () => {
    expect(client.getServerVersion()).toMatchObject({ name: 'agentgate' });
    expect(client.getInstructions()).toContain('decided by policy');
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['probe__echo', 'probe__write']));
    expect(tools.map(({ name }) => name)).not.toContain('probe__danger');
    const stranger = await openMcp(stack, { era, user: 'agent-stranger' });
    expect((await stranger.listTools()).tools).toEqual([]);
    await stranger.close();
  });

  test('calls a tool: it runs once, and evidence holds who asked', async () => {
    const tag = `hello ${era}`;
    const told = await call(client, 'probe__echo', { text: tag });
    expect(told).toMatchObject({ text: tag, isError: false, status: 'ok', code: 'OK' });
    expect(stack.probe.starts(tag)).toBe(1);
    const { event } = await eventually('the event', () =>
      evidence.entries().find((e) => e.event.id === told.evidence.decided),
    );
    expect(event).toMatchObject({ tenant: 'default', agent: 'demo', subject: told.call });
  });

  test('is told what policy says no to, and why; nothing runs', async () => {
    const told = await call(client, 'probe__write', { path: `/etc/${era}`, text: 'x' });
    expect(told).toMatchObject({ isError: true, status: 'denied', code: 'ARGUMENT_NOT_ALLOWED' });
    expect(told.text).toContain('argument /path');
    expect(await call(client, 'probe__danger', {})).toMatchObject({ isError: true, status: 'denied' });
    expect(stack.probe.starts(`/etc/${era}`)).toBe(0);
  });

  test("gets a tool's own error as one", async () => {
    expect(await call(client, 'probe__fail', {})).toMatchObject({ isError: true, status: 'tool_error' });
  });

  test('has a call that it cancels stopped at the tool', async () => {
    const tag = `cancelled ${era}`;
    const stop = new AbortController();
    const running = call(client, 'probe__slow', { ms: 8_000, tag }, { signal: stop.signal });
    await eventually('it runs', () => stack.probe.starts(tag) === 1);
    stop.abort();
    await expect(running).rejects.toThrow();
    await eventually('it is stopped', () => stack.probe.has('stopped', tag));
  });
});

test('two tenants with an agent of the same name are two agents', async () => {
  const client = await openMcp(stack, { user: 'acme.agent-demo' });
  const told = await call(client, 'probe__echo', { text: 'from acme' });
  const { event } = await eventually('the event', () =>
    evidence.entries().find((e) => e.event.id === told.evidence.decided),
  ).catch(() => ({ event: { tenant: told.code } }));
  expect(event.tenant).toBe('acme');
  await client.close();
});

test('a person is asked, and the same call made again runs with what they said', async () => {
  const client = await openMcp(stack, { user: 'agent-second' });
  const args = { path: '/srv/box/b', text: 'approved over mcp' };
  const asked = await call(client, 'probe__write', args);
  expect(asked).toMatchObject({ isError: true, status: 'approval_required' });
  expect(asked.text).toContain(asked.approval?.id);
  expect(await call(client, 'probe__write', args)).toMatchObject({ status: 'approval_required' });
  expect((await run('approve', asked.approval?.id ?? '')).code).toBe(0);
  expect(await call(client, 'probe__write', { ...args, text: 'another' })).toMatchObject({
    status: 'approval_required',
  });
  expect(await call(client, 'probe__write', args)).toMatchObject({ status: 'ok' });
  expect(stack.probe.starts('approved over mcp')).toBe(1);
  expect(await call(client, 'probe__write', args)).toMatchObject({ status: 'approval_required' });
  await client.close();
});

test('what its user asked for is the session’s purpose', async () => {
  const purpose = 'Räume die Ablage auf: 100 %';
  const client = await openMcp(stack, { headers: { 'agentgate-purpose': encodeURIComponent(purpose) } });
  const told = await call(client, 'probe__echo', { text: 'on purpose' });
  const opened = await eventually('the session', () => {
    const { event } = evidence.entries().find((e) => e.event.id === told.evidence.decided) ?? {};
    return event && evidence.all('session.opened').find(({ subject }) => subject === event.session);
  });
  expect(JSON.stringify(opened.data)).toContain(purpose);
  await client.close();
});

describe('a kill', () => {
  test('of the session holds however often the client comes back, until it is lifted', async () => {
    const client = await openMcp(stack, { headers: { 'agentgate-purpose': 'to be killed' } });
    const { evidence: of } = await call(client, 'probe__echo', { text: 'before' });
    const session = await eventually(
      'the session',
      () => evidence.entries().find((e) => e.event.id === of.decided)?.event.session ?? undefined,
    );
    await operator.kill({ kind: 'session', id: session });
    expect(await call(client, 'probe__echo', { text: 'killed' })).toMatchObject({ code: 'KILLED_SESSION' });
    const again = await openMcp(stack, { headers: { 'agentgate-purpose': 'to be killed' } });
    expect(await call(again, 'probe__echo', { text: 'killed' })).toMatchObject({ code: 'KILLED_SESSION' });
    await expect(again.listTools()).rejects.toThrow('KILLED_SESSION');
    expect(stack.probe.starts('killed')).toBe(0);
    await operator.lift({ kind: 'session', id: session });
    expect(await call(client, 'probe__echo', { text: 'lifted' })).toMatchObject({ code: 'OK' });
    await Promise.all([client.close(), again.close()]);
  });

  test('of the agent ends what it has in flight, and its next call', async () => {
    const client = await openMcp(stack, { user: 'agent-second' });
    const running = call(client, 'probe__slow', { ms: 8_000, tag: 'in flight' }).catch((error: unknown) => error);
    await eventually('it runs', () => stack.probe.starts('in flight') === 1);
    const receipt = await operator.kill({ kind: 'agent', id: 'second', tenant: 'default' });
    expect(receipt.contained).toBe(true);
    const told = (await running) as Partial<Told>;
    expect(receipt.calls.find(({ call }) => call === told.call)?.fate).toMatch(/^(aborted|unknown)$/);
    expect(['killed', 'outcome_unknown']).toContain(told.status);
    expect(await call(client, 'probe__echo', { text: 'after' })).toMatchObject({ code: 'KILLED_AGENT' });
    await operator.lift({ kind: 'agent', id: 'second', tenant: 'default' });
    expect(await call(client, 'probe__echo', { text: 'after the lift' })).toMatchObject({ code: 'OK' });
    await client.close();
  });
});

test('an agent that is added comes in with its token, and once it is removed, its token is worth nothing', async () => {
  const added = await run('agent', 'add', 'fresh', '--label', 'dev', '--json');
  expect(added.code).toBe(0);
  const token = tokenOf(stack, 'agent-fresh');
  const client = await openMcp(stack, { token });
  expect(await call(client, 'probe__echo', { text: 'fresh' })).toMatchObject({ code: 'OK' });
  expect((await run('agent', 'rm', 'fresh')).code).toBe(0);
  await expect(call(client, 'probe__echo', { text: 'removed' })).rejects.toThrow();
  expect(stack.probe.starts('removed')).toBe(0);
  await eventually('it is refused', async () => {
    const { status } = await postMcp(stack, '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {
      authorization: `Bearer ${token}`,
    });
    return status === 401;
  });
});

describe('when something fails', () => {
  test('an edge that is killed comes back, and so do its clients', async () => {
    const client = await openMcp(stack);
    expect(await call(client, 'probe__echo', { text: 'before the end' })).toMatchObject({ code: 'OK' });
    const was = stack.pid('mcp-edge');
    stack.kill('mcp-edge', 'SIGKILL');
    await stack.restarted('mcp-edge', was);
    expect(await call(client, 'probe__echo', { text: 'after the end' })).toMatchObject({ code: 'OK' });
    await client.close();
  });

  test('NATS gone is told as such, and is no reason to say that a token is bad', async () => {
    const client = await openMcp(stack);
    expect(await call(client, 'probe__echo', { text: 'before nats went' })).toMatchObject({ code: 'OK' });
    const was = stack.pid('nats-server');
    stack.kill('nats-server', 'SIGKILL');
    const during = await postMcp(
      stack,
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe__echo","arguments":{"text":"during"}}}',
    );
    expect([200, 503]).toContain(during.status);
    expect(await during.text()).not.toContain('"status":"ok"');
    await stack.restarted('nats-server', was);
    await eventually(
      'calls run again',
      async () => {
        const told = await call(client, 'probe__echo', { text: 'after nats came back' }).catch(() => undefined);
        return told?.code === 'OK';
      },
      20_000,
    );
    await client.close();
  });
});
