import { describe, expect, test } from 'vitest';
import { askOf, claimsOf, createBench } from './fixture.ts';

/** A credential whose leases serve a session, and what asks for it. */
const createSession = (change: Parameters<typeof createBench>[0] = {}) => {
  const renewed: number[] = [];
  const bench = createBench({
    ...change,
    offer: { reuse: 'session', maxTtlMs: 60_000, ...change.offer },
    provider: {
      renew: async ({ expiresAt }) => {
        renewed.push(expiresAt);
        return undefined;
      },
      ...change.provider,
    },
  });
  const first = () => bench.broker.lease(askOf({ claims: claimsOf({}, bench.clock.at) }));
  const again = async (held: { lease: string; permit: string }, other: Parameters<typeof claimsOf>[0] = {}) => {
    const ask = askOf({ claims: claimsOf(other, bench.clock.at) });
    return { ask, answer: await bench.broker.lease({ ...ask, held }) };
  };
  return { bench, renewed, first, again };
};

describe('a lease that serves a session', () => {
  test('outlives its call, and says so', async () => {
    const { bench, first } = createSession();
    const answer = await first();
    expect(answer).toMatchObject({ reuse: true, expires_at: new Date(bench.clock.at + 60_000).toISOString() });
  });

  test('stays as it is while more than half of its time is left, but uses up the permit', async () => {
    const { bench, renewed, first, again } = createSession();
    const held = await first();
    bench.clock.at += 29_000;
    const { ask, answer } = await again(held);
    expect(answer).toMatchObject({ lease: held.lease, permit: held.permit, expires_at: held.expires_at });
    expect(answer.sealed).toBeUndefined();
    expect([bench.minted.length, renewed]).toEqual([1, []]);
    for (const replay of [{ ...ask, held }, ask])
      await expect(bench.broker.lease(replay)).rejects.toMatchObject({
        code: 'POLICY_DENIED',
        message: 'permit: was used for a lease already',
      });
  });

  test('is prolonged by the permit of a later call, with evidence of which', async () => {
    const { bench, renewed, first, again } = createSession();
    const held = await first();
    bench.clock.at += 31_000;
    const { ask, answer } = await again(held);
    expect(answer.expires_at).toBe(new Date(bench.clock.at + 60_000).toISOString());
    expect(renewed).toEqual([bench.clock.at + 60_000]);
    expect(bench.events.at(-1)).toMatchObject({
      name: 'lease.renewed',
      data: { lease: held.lease, call: ask.permit.claims.call, expires_at: answer.expires_at },
    });
  });

  test('is not prolonged beyond what policy allows', async () => {
    const { bench, first, again } = createSession();
    const held = await first();
    bench.clock.at += 55_000;
    const { answer } = await again(held, { obligations: { credential: { name: 'crm-key', ttl_s: 20 } } });
    expect(Date.parse(answer.expires_at) - bench.clock.at).toBe(20_000);
  });

  test('ends sooner when policy allows less than before', async () => {
    const { bench, renewed, first, again } = createSession();
    const held = await first();
    const { answer } = await again(held, { obligations: { credential: { name: 'crm-key', ttl_s: 10 } } });
    expect([Date.parse(answer.expires_at) - bench.clock.at, renewed]).toEqual([10_000, []]);
    bench.clock.at += 10_000;
    await bench.broker.sweep();
    expect(bench.index.all()).toEqual([]);
  });

  test.each([
    ['session', { session: 'ses_00000000000000000002' }],
    ['tool', { tool: 'crm/delete' }],
    ['agent', { agent: 'other' }],
    ['tenant', { tenant: 'other' }],
    ['scope', { obligations: { credential: { name: 'crm-key', scope: 'read' } } }],
    ['person', { subject: { id: 'sub_00000000000000000001', person: 'ann' } }],
  ])('is not lent to another %s: that gets one of its own', async (_, other) => {
    const { bench, first, again } = createSession();
    const held = await first();
    const { answer } = await again(held, other);
    expect(answer.lease).not.toBe(held.lease);
    expect(bench.minted).toHaveLength(2);
  });

  test('is not lent to another runner', async () => {
    const { bench, first } = createSession();
    const held = await first();
    const record = bench.index.get(held.permit);
    if (!record) throw new Error('not held');
    bench.index.put({ record: { ...record.record, runner: 'runner-2' }, revision: record.revision + 1 });
    const answer = await bench.broker.lease({ ...askOf(), held });
    expect(answer.lease).not.toBe(held.lease);
  });

  test('that ended is not prolonged: a new one is made', async () => {
    const { bench, first, again } = createSession();
    const held = await first();
    await bench.broker.release(held);
    const { answer } = await again(held);
    expect(answer.lease).not.toBe(held.lease);
    expect(answer.sealed).toBeDefined();
  });

  test('of a provider that cannot prolong is replaced when it is half over', async () => {
    const { bench, first, again } = createSession({ provider: { renew: undefined } as never });
    const held = await first();
    bench.clock.at += 29_000;
    expect((await again(held)).answer.lease).toBe(held.lease);
    bench.clock.at += 2_000;
    expect((await again(held)).answer.lease).not.toBe(held.lease);
  });

  test('is refused, and ended, once its session is killed', async () => {
    const { bench, first, again } = createSession();
    const held = await first();
    bench.kills.orders.push({ kind: 'session', id: 'ses_00000000000000000001' });
    await expect(again(held)).rejects.toMatchObject({ code: 'KILLED_SESSION' });
    await bench.broker.revokeKilled();
    expect(bench.index.all()).toEqual([]);
  });

  test('whose renewal the provider refuses is recorded as longer than it is, never as shorter', async () => {
    const { bench, first, again } = createSession({
      provider: {
        renew: async () => {
          throw new Error('down');
        },
      },
    });
    const held = await first();
    bench.clock.at += 31_000;
    await expect(again(held)).rejects.toThrow('down');
    expect(bench.index.get(held.permit)?.record.expires_at).toBe(new Date(bench.clock.at + 60_000).toISOString());
  });
});

describe('the cap of a credential', () => {
  test('counts the leases of all agents', async () => {
    const bench = createBench({ offer: { maxLeases: 2 } });
    for (const agent of ['one', 'two']) await bench.broker.lease(askOf({ claims: claimsOf({ agent }) }));
    await expect(bench.broker.lease(askOf({ claims: claimsOf({ agent: 'three' }) }))).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      message: '2 leases of credential crm-key are out already',
    });
  });
});
