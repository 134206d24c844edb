import { join } from 'node:path';
import { connect } from '@agentgate/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let second: Agent;
let operator: Operator;
let evidence: EvidenceReader;
let people: Record<string, Awaited<ReturnType<typeof stack.connect>>>;

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        grants: `  - { id: two, to: { agents: [second] }, tools: [probe/environment], effect: require_approval, approvers: { min: 2, roles: [finance] } }
  - { id: acme-writes, to: { tenants: [acme] }, tools: [probe/write], effect: require_approval }`,
        more: 'approvals: { ttl_s: 6, people: { ann: { roles: [finance] }, ben: { roles: [finance] }, second: {} } }\n',
      }),
  });
  second = await openAgent(stack, 'agent-second');
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
  people = Object.fromEntries(
    await Promise.all(
      ['approver', 'ann', 'ben', 'second'].map(async (who) => [who, await stack.connect(who)] as const),
    ),
  );
});
afterAll(() => stack?.stop());

const say = async (who: string, verb: 'approve' | 'reject' | 'approvals', body: object = {}) => {
  const bytes = await people[who]?.requestRaw(`ops.${who}.${verb}`, JSON.stringify({ v: 1, ...body }), {
    of: 'approvals',
    timeoutMs: 8_000,
  });
  return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
};
const write = (session: string, text: string, more: object = {}) =>
  second.call(session, 'probe/write', { path: '/srv/box/a', text }, more);
const ask = async (text: string, session?: string) => {
  const at = session ?? (await second.open('Write the file a.'));
  const reply = await write(at, text);
  expect(reply).toMatchObject({ status: 'approval_required', code: 'APPROVAL_REQUIRED', rule: 'ask-first' });
  if (!reply.approval) throw new Error('no approval');
  return { session: at, id: reply.approval.id, reply };
};

describe('an approval', () => {
  test('lets exactly this call run, once, and every change of it is in evidence', async () => {
    const { session, id, reply } = await ask('once');
    expect(await say('approver', 'approve', { approval: id, reason: 'fine' })).toEqual({ v: 1, status: 'granted' });
    const ran = await write(session, 'once', { approval: id });
    expect(ran).toMatchObject({ status: 'ok' });
    expect(stack.probe.starts('once')).toBe(1);
    const again = await write(session, 'once', { approval: id });
    expect(again).toMatchObject({
      status: 'denied',
      code: 'APPROVAL_INVALID',
      reason: 'approval: it was used already',
    });
    expect(stack.probe.starts('once')).toBe(1);
    const { data } = await evidence.event('call.decided', ran.evidence?.decided);
    expect(data).toMatchObject({
      approval: id,
      decision: { action: 'allow', reason: 'approved by approver', rule: 'ask-first' },
    });
    await eventually('the events', () => evidence.all('approval.consumed').some((e) => e.subject === id));
    const told = evidence
      .entries()
      .filter(({ event }) => event.subject === id)
      .map(({ event }) => event.type);
    expect(told).toEqual(['requested', 'granted', 'consumed'].map((word) => `agentgate.approval.${word}.v1`));
    expect(evidence.all('approval.granted').at(-1)?.data).toMatchObject({
      approval: id,
      call: reply.call,
      by: 'approver',
      reason: 'fine',
    });
    expect(evidence.all('approval.consumed').at(-1)?.data).toMatchObject({
      approval: id,
      call: ran.call,
      for: reply.call,
    });
  });

  test('is for no other argument, session, tool or agent', async () => {
    const { session, id } = await ask('exactly');
    await say('approver', 'approve', { approval: id });
    const other = await second.open('Write the file a.');
    const foreign = await openAgent(stack, 'acme.agent-demo');
    const there = await foreign.open('Write the file a.');
    const replies = [
      await write(session, 'exactly ', { approval: id }),
      await write(other, 'exactly', { approval: id }),
      await second.call(session, 'probe/write', { path: '/srv/box/b', text: 'exactly' }, { approval: id }),
      await foreign.call(there, 'probe/write', { path: '/srv/box/a', text: 'exactly' }, { approval: id }),
      await write(session, 'exactly', { approval: 'apr_0123456789abcdef' }),
    ];
    for (const reply of replies) {
      expect(reply).toMatchObject({ status: 'denied', code: 'APPROVAL_INVALID' });
      expect(reply.reason).toMatch(/^approval: it is not known/);
    }
    expect((await write(session, 'exactly', { approval: id })).status).toBe('ok');
  });

  test('is asked for and used under one key, which stays bound to its call all the while', async () => {
    const session = await second.open('Write the file a.');
    const keyed = (text: string, more: object = {}) => write(session, text, { key: 'k-approved', ...more });
    const [first, together] = await Promise.all([keyed('keyed'), keyed('keyed')]);
    expect(first).toMatchObject({ status: 'approval_required' });
    expect([together, await keyed('keyed')]).toEqual([first, first]);
    expect(await keyed('other')).toMatchObject({ status: 'invalid', code: 'KEY_REUSED' });
    const approval = first?.approval?.id;
    expect(await keyed('keyed', { approval })).toMatchObject({ status: 'approval_required' });
    await say('approver', 'approve', { approval });
    const ran = await Promise.all([1, 2, 3].map(() => keyed('keyed', { approval })));
    expect(ran[0]).toMatchObject({ status: 'ok' });
    expect([...ran, await keyed('keyed')]).toEqual(Array(4).fill(ran[0]));
    expect(stack.probe.starts('keyed')).toBe(1);
  });

  test('that waits is told as such, and the same question keeps its id', async () => {
    const { session, id } = await ask('patience');
    expect((await ask('patience', session)).id).toBe(id);
    expect(await write(session, 'patience', { approval: id })).toMatchObject({
      status: 'approval_required',
      approval: { id },
    });
  });

  test('that was rejected, or has expired, lets nothing run', async () => {
    const rejected = await ask('no');
    expect(await say('approver', 'reject', { approval: rejected.id })).toEqual({ v: 1, status: 'rejected' });
    expect(await say('approver', 'approve', { approval: rejected.id })).toEqual({ v: 1, status: 'already_decided' });
    expect(await write(rejected.session, 'no', { approval: rejected.id })).toMatchObject({
      code: 'APPROVAL_INVALID',
      reason: 'approval: it was rejected',
    });
    const [late, granted] = [await ask('late'), await ask('granted, then late')];
    await say('approver', 'approve', { approval: granted.id });
    await eventually('both expired', () => evidence.all('approval.expired').length >= 2, 20_000);
    expect(await say('approver', 'approve', { approval: late.id })).toEqual({ v: 1, status: 'expired' });
    expect(await write(granted.session, 'granted, then late', { approval: granted.id })).toMatchObject({
      code: 'APPROVAL_INVALID',
      reason: 'approval: it has expired',
    });
  });

  test('that waits or was granted is voided by a kill, and stays so after it is lifted', async () => {
    const [waits, granted] = [await ask('waits'), await ask('granted, then killed')];
    await say('approver', 'approve', { approval: granted.id });
    const receipt = await operator.kill({ kind: 'agent', id: 'second' });
    expect(receipt.contained).toBe(true);
    expect(receipt.approvals.voided).toBeGreaterThanOrEqual(2);
    expect(receipt.points.map(({ service }) => service)).toContain('approvals');
    expect(await say('approver', 'approve', { approval: waits.id })).toEqual({ v: 1, status: 'voided' });
    await operator.lift({ kind: 'agent', id: 'second' });
    await eventually('calls are decided again', async () => (await write(granted.session, 'x')).status !== 'killed');
    expect(await write(granted.session, 'granted, then killed', { approval: granted.id })).toMatchObject({
      code: 'APPROVAL_INVALID',
      reason: 'approval: it was voided',
    });
  });

  test('two redemptions at once: one runs', async () => {
    const { session, id } = await ask('twice');
    await say('approver', 'approve', { approval: id });
    const replies = await Promise.all(Array.from({ length: 6 }, () => write(session, 'twice', { approval: id })));
    expect(replies.filter(({ status }) => status === 'ok')).toHaveLength(1);
    expect(replies.filter(({ code }) => code === 'APPROVAL_INVALID')).toHaveLength(5);
    expect(stack.probe.starts('twice')).toBe(1);
  });

  test('survives a SIGKILL of its service, and stays used after one', async () => {
    const { session, id } = await ask('durable');
    await say('approver', 'approve', { approval: id });
    const restart = async () => {
      const was = stack.pid('approvals');
      stack.kill('approvals', 'SIGKILL');
      await stack.restarted('approvals', was);
    };
    await restart();
    expect((await write(session, 'durable', { approval: id })).status).toBe('ok');
    await restart();
    expect(await write(session, 'durable', { approval: id })).toMatchObject({ code: 'APPROVAL_INVALID' });
  });
});

describe('who may decide', () => {
  test('nobody on the call of an agent of the same name', async () => {
    const { id } = await ask('myself');
    expect(await say('second', 'approve', { approval: id })).toMatchObject({ code: 'POLICY_DENIED' });
    expect(await say('approver', 'reject', { approval: id })).toMatchObject({ status: 'rejected' });
  });
  test('as many as the grant says, each once, and those whose role it names', async () => {
    const session = await second.open('Show the environment.');
    const reply = await second.call(session, 'probe/environment', {});
    const approval = reply.approval?.id ?? '';
    expect(reply).toMatchObject({ status: 'approval_required', rule: 'two' });
    expect(await say('approver', 'approve', { approval })).toMatchObject({
      code: 'POLICY_DENIED',
      reason: 'this needs somebody who is finance',
    });
    expect(await say('ann', 'approve', { approval })).toEqual({ v: 1, status: 'pending_second' });
    expect(await say('ann', 'approve', { approval })).toEqual({ v: 1, status: 'already_decided' });
    expect(await second.call(session, 'probe/environment', {}, { approval })).toMatchObject({
      status: 'approval_required',
    });
    expect(await say('ben', 'approve', { approval })).toEqual({ v: 1, status: 'granted' });
    expect(await second.call(session, 'probe/environment', {}, { approval })).toMatchObject({ status: 'ok' });
    const consumed = () => evidence.all('approval.consumed').find(({ subject }) => subject === approval);
    expect((await eventually('its use is in evidence', consumed)).data.by).toEqual(['ann', 'ben']);
  });
  test('an agent cannot, whatever it says', async () => {
    const { id } = await ask('by hand');
    for (const subject of ['ops.second.approve', 'ops.approver.approve', 'svc.v1.approvals.redeem'])
      await expect(
        second.bus.requestRaw(subject, JSON.stringify({ v: 1, approval: id }), { of: 'approvals', timeoutMs: 700 }),
      ).rejects.toThrow();
  });
});

test('the question shows what is asked, by whom, why, and with what', async () => {
  const session = await second.open('Write the file a.\u202eexe');
  const reply = await write(session, 'hidden\u200b text');
  const { pending } = (await say('approver', 'approvals')) as { pending: Record<string, unknown>[] };
  expect(pending.find(({ id }) => id === reply.approval?.id)).toMatchObject({
    call: reply.call,
    tool: 'probe/write',
    arguments: { path: '/srv/box/a', text: 'hidden\u200b text' },
    agent: 'second',
    tenant: 'default',
    session,
    reason: 'grant ask-first lets this call through once a person approved it',
    rule: 'ask-first',
    purpose: 'Write the file a.\u202eexe',
    labels: ['write'],
  });
  const shown = await run('approvals');
  expect(shown.out).toContain(String(reply.approval?.id));
  expect(shown.out).toContain('hidden\\u{200b} text');
  expect(shown.out).toContain('Write the file a.\\u{202e}exe');
  const approved = await run('approve', String(reply.approval?.id), '--reason', 'seen');
  expect(approved).toMatchObject({ code: 0 });
  expect(approved.out).toMatch(/^granted: apr_/);
  expect((await run('approve', String(reply.approval?.id))).code).toBe(1);
});

test('the client waits for a person, and the call runs', async () => {
  const client = await connect({ servers: stack.status.nats, creds: join(stack.status.creds, 'agent-second.creds') });
  const session = await client.openSession({ purpose: 'Write the file a.' });
  const call = session.call('probe/write', { path: '/srv/box/a', text: 'waited' }, { waitForApproval: true });
  const find = async () => {
    const { pending } = (await say('approver', 'approvals')) as { pending: { id: string; session: string }[] };
    return pending.find((one) => one.session === session.id)?.id;
  };
  await say('approver', 'approve', { approval: await eventually('it is asked', find) });
  expect(await call).toMatchObject({ status: 'ok' });
  await client.close();
});

test('without the approvals service nothing is asked and nothing runs', async () => {
  const was = stack.pid('approvals');
  stack.kill('approvals', 'SIGSTOP');
  const reply = await write(await second.open('Write the file a.'), 'nobody there');
  expect(reply).toMatchObject({ status: 'unavailable', code: 'POLICY_UNAVAILABLE' });
  stack.kill('approvals', 'SIGCONT');
  expect(stack.pid('approvals')).toBe(was);
});

const { run } = createCommand(() => stack.home);
