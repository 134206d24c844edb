import type { ApprovalQuestion } from '@agentgate/contracts';
import { approvalBinding } from '@agentgate/runtime';
import { beforeEach, describe, expect, test } from 'vitest';
import { changedPointers } from '../src/service.ts';
import { createWorld, question } from './fixtures.ts';

let world: ReturnType<typeof createWorld>;
beforeEach(() => {
  world = createWorld();
});
const request = (more: Partial<ApprovalQuestion> = {}) => world.approvals.request(question(more));
const grant = (approval: string, by = 'olga') => world.approvals.decide(by, 'granted', { approval });
const redeem = (approval: string, more: Partial<ApprovalQuestion> = {}, call = 'call_0000000002') =>
  world.approvals.redeem({ approval, binding: approvalBinding(question(more)), call });
const names = () => world.events.map(({ name }) => name);
const stateOf = (id: string) => world.all.get(id)?.record.state;

describe('request', () => {
  test('is in evidence before it can be seen, and ends after its time', async () => {
    const asked = await request();
    expect(asked).toEqual({ id: 'apr_0000000001', expires_at: '2026-01-01T00:15:00.000Z' });
    expect(world.events[0]).toMatchObject({
      name: 'approval.requested',
      subject: asked.id,
      data: { approval: asked.id, call: 'call_0000000001', tool: 'fs/write', rule: 'ask-first' },
    });
    world.evidenceFails = true;
    await expect(request({ session: 'ses_0000000002' })).rejects.toMatchObject({ code: 'EVIDENCE_UNAVAILABLE' });
    expect(world.all.size).toBe(1);
  });
  test('the same question that waits keeps its id; after its end it is another', async () => {
    const { id } = await request();
    expect((await request({ call: 'call_0000000009' })).id).toBe(id);
    world.at += 900_000;
    expect((await request()).id).not.toBe(id);
  });
  test('POLICY_DENIED for more than a person can look at', async () => {
    await expect(request({ arguments: { text: 'x'.repeat(70_000) } })).rejects.toMatchObject({ code: 'POLICY_DENIED' });
  });
});

describe('redeem', () => {
  test('a granted one once, for the call that asks, signed with who granted it', async () => {
    const { id } = await request();
    await grant(id);
    expect(await redeem(id)).toHaveProperty('grant');
    expect(world.sealed).toEqual([
      {
        approval: id,
        binding: approvalBinding(question()),
        by: ['olga'],
        call: 'call_0000000002',
        expires_at: world.at + 900_000,
        granted_at: world.at,
        v: 1,
      },
    ]);
    expect(names()).toEqual(['approval.requested', 'approval.granted', 'approval.consumed']);
    await expect(redeem(id)).rejects.toMatchObject({
      code: 'APPROVAL_INVALID',
      message: 'approval: it was used already',
    });
  });
  test.each<[string, Partial<ApprovalQuestion>]>([
    ['tenant', { tenant: 'acme' }],
    ['agent', { agent: 'other' }],
    ['session', { session: 'ses_0000000002' }],
    ['tool', { tool: 'fs/writ' }],
    ['argument', { arguments: { path: '/srv/a', text: 'X' } }],
    ['further argument', { arguments: { path: '/srv/a', text: 'x', mode: 1 } }],
    ['type of an argument', { arguments: { path: '/srv/a', text: ['x'] } }],
    ['schema of the tool', { schema_digest: 'c'.repeat(64) }],
    ['revision of the policy', { policy: { revision: 'r1', digest: 'c'.repeat(64) } }],
  ])('APPROVAL_INVALID for another %s, and it stays good for its own', async (_, more) => {
    const { id } = await request();
    await grant(id);
    await expect(redeem(id, more)).rejects.toMatchObject({
      code: 'APPROVAL_INVALID',
      message: 'approval: it is not known for this call',
    });
    expect(await redeem(id)).toHaveProperty('grant');
  });
  test('the order of arguments is no other argument', async () => {
    const { id } = await request();
    await grant(id);
    expect(await redeem(id, { arguments: { text: 'x', path: '/srv/a' } })).toHaveProperty('grant');
  });
  test('one that waits is told as waiting', async () => {
    const { id, expires_at } = await request();
    expect(await redeem(id)).toEqual({ pending: { id, expires_at } });
    expect(stateOf(id)).toBe('pending');
  });
  test.each([
    ['is not known', async () => 'apr_unknown00000'],
    [
      'was rejected',
      async (id: string) => {
        await world.approvals.decide('olga', 'rejected', { approval: id });
        return id;
      },
    ],
    [
      'has expired',
      async (id: string) => {
        await grant(id);
        world.at += 900_000;
        return id;
      },
    ],
    [
      'was voided',
      async (id: string) => {
        await grant(id);
        world.killed = { kind: 'agent', id: 'demo' };
        return id;
      },
    ],
  ])('APPROVAL_INVALID: it %s', async (why, spoil) => {
    const { id } = await request();
    await expect(redeem(await spoil(id))).rejects.toMatchObject({
      code: 'APPROVAL_INVALID',
      message: `approval: it ${why}`,
    });
    expect(world.sealed).toEqual([]);
  });
  test('gives nothing when it is not in evidence, and is used all the same', async () => {
    const { id } = await request();
    await grant(id);
    world.evidenceFails = true;
    await expect(redeem(id)).rejects.toMatchObject({ code: 'EVIDENCE_UNAVAILABLE' });
    world.evidenceFails = false;
    await expect(redeem(id)).rejects.toMatchObject({ message: 'approval: it was used already' });
    expect(world.sealed).toEqual([]);
  });
});

describe('decide', () => {
  test('once, whoever comes second hears so', async () => {
    const { id } = await request();
    expect(await grant(id)).toEqual({ v: 1, status: 'granted' });
    expect(await grant(id, 'oskar')).toEqual({ v: 1, status: 'already_decided' });
    expect(await world.approvals.decide('oskar', 'rejected', { approval: id })).toEqual({
      v: 1,
      status: 'already_decided',
    });
  });
  test('as many as are asked for, each person once; one who rejects is enough', async () => {
    const two = { approvers: { min: 2 } };
    const { id } = await request(two);
    expect((await grant(id)).status).toBe('pending_second');
    expect((await grant(id)).status).toBe('already_decided');
    expect(await redeem(id)).toHaveProperty('pending');
    expect((await grant(id, 'oskar')).status).toBe('granted');
    const other = await request({ ...two, session: 'ses_0000000002' });
    await grant(other.id);
    expect(await world.approvals.decide('oskar', 'rejected', { approval: other.id })).toEqual({
      v: 1,
      status: 'rejected',
    });
  });
  test('POLICY_DENIED for who asks, and for who has not the role', async () => {
    const { id } = await request();
    await expect(grant(id, 'demo')).rejects.toMatchObject({ code: 'POLICY_DENIED' });
    const paid = await request({ tool: 'bank/pay', approvers: { min: 1, roles: ['finance'] } });
    await expect(grant(paid.id)).rejects.toMatchObject({ message: 'this needs somebody who is finance' });
    expect((await grant(paid.id, 'fin')).status).toBe('granted');
  });
  test('too late, or killed, is told as that and lets nothing through', async () => {
    const { id } = await request();
    world.at += 900_000;
    expect((await grant(id)).status).toBe('expired');
    const other = await request({ session: 'ses_0000000002' });
    world.killed = { kind: 'global' };
    expect((await grant(other.id)).status).toBe('voided');
    expect(names()).toEqual(['approval.requested', 'approval.expired', 'approval.requested', 'approval.voided']);
  });
});

describe('kills and time', () => {
  test('one that was granted and not used in its time is expired for whoever decides again, swept or not', async () => {
    const { id } = await request();
    await grant(id);
    world.at += 900_000;
    expect((await grant(id, 'oskar')).status).toBe('expired');
    await world.approvals.sweep();
    expect((await grant(id, 'oskar')).status).toBe('expired');
    expect(names()).toEqual(['approval.requested', 'approval.granted', 'approval.expired']);
  });
  test('void what waits and what was granted in the scope, and nothing else', async () => {
    const ids = [
      (await request()).id,
      (await request({ session: 'ses_0000000002' })).id,
      (await request({ agent: 'other' })).id,
      (await request({ tenant: 'acme' })).id,
    ];
    await grant(ids[1] ?? '');
    expect(
      await world.approvals.voidScope({ epoch: 7, scope: { kind: 'agent', id: 'demo' }, why: 'agent demo was killed' }),
    ).toBe(2);
    expect(ids.map(stateOf)).toEqual(['voided', 'voided', 'pending', 'pending']);
    // Whoever tells of the same order again hears what it voided; another one finds nothing.
    const again = { scope: { kind: 'agent' as const, id: 'demo' }, why: 'again' };
    expect(await world.approvals.voidScope({ epoch: 7, ...again })).toBe(2);
    expect(await world.approvals.voidScope({ epoch: 8, ...again })).toBe(0);
  });
  test('an order of before does not void what was asked for after it', async () => {
    const { id } = await request();
    expect(
      await world.approvals.voidScope({
        epoch: 1,
        scope: { kind: 'global' },
        why: 'old',
        askedBefore: '2025-12-31T23:59:59.000Z',
      }),
    ).toBe(0);
    expect(stateOf(id)).toBe('pending');
  });
  test('a sweep ends what is past its time, once', async () => {
    const { id } = await request();
    world.at += 900_000;
    await Promise.all([world.approvals.sweep(), world.approvals.sweep()]);
    expect(stateOf(id)).toBe('expired');
    expect(names().filter((name) => name === 'approval.expired')).toHaveLength(1);
  });
});

describe('the list', () => {
  test('shows what waits, the oldest first, with what changed since the last one granted', async () => {
    const first = await request();
    await grant(first.id);
    world.at += 1;
    const second = await request({ arguments: { path: '/srv/b', text: 'x', mode: 1 } });
    const { pending } = world.approvals.list(undefined);
    expect(pending).toMatchObject([{ id: second.id, changed: ['/path', '/mode'], purpose: 'write a', granted_by: [] }]);
    expect(pending[0]).not.toHaveProperty('policy');
    expect(world.approvals.list('acme').pending).toEqual([]);
  });
  test('of 10,000 is cut to what a message holds, and says how many are left', async () => {
    for (let i = 0; i < 10_000; i++)
      await request({ session: `ses_${String(i).padStart(10, '0')}`, agent: `agent-${i % 250}` });
    const { pending, more } = world.approvals.list(undefined);
    expect(pending).toHaveLength(200);
    expect(more).toBe(9_800);
    expect(pending[0]?.session).toBe('ses_0000000000');
    // One more question, or one taken, looks at its own only.
    const { id } = await request({ session: 'ses_one_more_00' });
    await grant(id);
    expect(await redeem(id, { session: 'ses_one_more_00' })).toHaveProperty('grant');
  });
});

test('an agent that asks without end is told to wait, and hides nobody else’s question', async () => {
  for (let i = 0; i < 50; i++) await request({ session: `ses_${String(i).padStart(10, '0')}` });
  await expect(request({ session: 'ses_one_too_many' })).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  const other = await request({ agent: 'other', session: 'ses_of_somebody_else' });
  const { pending } = world.approvals.list(undefined);
  expect(pending[1]?.id).toBe(other.id);
  // Each that was decided makes room for one.
  await grant(pending[0]?.id as string);
  await request({ session: 'ses_one_too_many' });
  await expect(request({ session: 'ses_two_too_many' })).rejects.toMatchObject({ code: 'RATE_LIMITED' });
});

test('the same question twice at once is one question', async () => {
  const [one, two] = await Promise.all([request(), request()]);
  expect(one.id).toBe(two.id);
});

test('what changed is named leaf by leaf', () => {
  expect(changedPointers({ a: 1, b: [1, 2], c: { d: 1 } }, { a: 1, b: [1, 3], c: { e: 1 } })).toEqual([
    '/b/1',
    '/c/d',
    '/c/e',
  ]);
  expect(changedPointers({ a: [1] }, { a: { 0: 1 } })).toEqual(['/a']);
  expect(changedPointers({ a: 1 }, { a: 1 })).toEqual([]);
});
