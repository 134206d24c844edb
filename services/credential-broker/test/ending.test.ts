import { AgentGateError } from '@agentgate/contracts';
import { describe, expect, test, vi } from 'vitest';
import { createBrokerOperators } from '../src/operators.ts';
import type { Probe } from '../src/provider.ts';
import { askOf, claimsOf, createBench } from './fixture.ts';

const down = new AgentGateError('CREDENTIAL_UNAVAILABLE', 'credential crm-key was not ended: the provider is down');

/** A provider that a test lets fail, and whose probe it answers. */
const createFailing = () => {
  const provider = { fails: 0, tries: 0, probe: { state: 'refused', detail: 'login refused' } as Probe };
  const bench = createBench({
    provider: {
      revoke: async () => {
        provider.tries++;
        if (provider.tries <= provider.fails) throw down;
      },
      probe: async () => provider.probe,
    },
  });
  return { provider, bench };
};
const pausesMs = [1_000, 2_000, 4_000, 8_000, 16_000];

describe('the end of a lease', () => {
  test('is recorded only after its use was tried and refused, and says so', async () => {
    const { bench } = createFailing();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    expect(bench.events.at(-1)?.data).toMatchObject({ proof: { kind: 'refused', detail: 'login refused' } });
  });

  test('is no end while it is still taken', async () => {
    const { provider, bench } = createFailing();
    provider.probe = { state: 'alive', detail: 'login taken, 1 sessions' };
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    expect(await bench.broker.release({ lease, permit: ask.permit.claims.id })).toEqual({ state: 'unknown' });
    expect(bench.records.stored.get(ask.permit.claims.id)?.record).toMatchObject({
      state: 'revoking',
      ending: { tries: 1, problem: expect.stringContaining('still taken: login taken, 1 sessions') },
    });
    expect(bench.events.map(({ name }) => name)).toEqual(['lease.issued']);
  });

  test('of what cannot be proven says until when it may still be taken', async () => {
    const { provider, bench } = createFailing();
    provider.probe = { state: 'unprovable', detail: 'a token', goodUntil: Date.UTC(2026, 0, 2, 4) };
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    expect(bench.events.at(-1)?.data).toMatchObject({
      proof: { kind: 'unprovable', detail: 'a token', good_until: '2026-01-02T04:00:00.000Z' },
    });
  });

  test('is tried again after 1, 2, 4, 8 and 16 seconds, and not before', async () => {
    const { provider, bench } = createFailing();
    provider.fails = 5;
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    for (const [i, pause] of pausesMs.entries()) {
      bench.clock.at += pause - 1;
      await bench.broker.sweep();
      expect(provider.tries).toBe(i + 1);
      bench.clock.at += 1;
      await bench.broker.sweep();
      expect(provider.tries).toBe(i + 2);
    }
    expect(bench.stateOf(ask)).toBe('revoked');
    expect(bench.events.at(-1)).toMatchObject({ name: 'lease.revoked', data: { why: 'released' } });
  });

  test('is left to a person after six tries: an alarm in evidence and in the log, and the sweep lets it be', async () => {
    const { provider, bench } = createFailing();
    provider.fails = Number.POSITIVE_INFINITY;
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    for (const pause of [...pausesMs, 60_000, 3_600_000]) {
      bench.clock.at += pause;
      await bench.broker.sweep();
    }
    expect([provider.tries, bench.stateOf(ask), bench.index.inState('irrevocable')]).toEqual([6, 'irrevocable', 1]);
    expect(bench.events.at(-1)).toMatchObject({ name: 'lease.irrevocable', data: { lease, tries: 6 } });
    expect(bench.logged).toContainEqual(expect.objectContaining({ message: expect.stringContaining('ALARM'), lease }));
  });

  test('is claimed: another broker leaves it alone meanwhile, and takes over from a dead one', async () => {
    const { bench } = createFailing();
    const ask = askOf();
    await bench.broker.lease(ask);
    const held = bench.records.stored.get(ask.permit.claims.id);
    if (!held) throw new Error('not stored');
    const next_at = new Date(bench.clock.at + 15_000).toISOString();
    const claimed = {
      ...held.record,
      state: 'revoking' as const,
      ending: { why: 'killed' as const, tries: 0, next_at },
    };
    await bench.records.update(claimed, held.revision);
    for (const one of bench.records.stored.values()) bench.index.put(one);
    await bench.broker.sweep();
    expect(bench.stateOf(ask)).toBe('revoking');
    bench.clock.at += 15_000;
    await bench.broker.sweep();
    expect(bench.stateOf(ask)).toBe('revoked');
    expect(bench.events.at(-1)).toMatchObject({ data: { why: 'killed' } });
  });

  test('is not recorded as over while evidence does not take it', async () => {
    const { bench } = createFailing();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const { record } = bench.ports.evidence;
    bench.ports.evidence.record = async () => {
      throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'not acknowledged');
    };
    await expect(bench.broker.release({ lease, permit: ask.permit.claims.id })).rejects.toMatchObject({
      code: 'EVIDENCE_UNAVAILABLE',
    });
    bench.ports.evidence.record = record;
    expect(bench.stateOf(ask)).toBe('revoking');
    bench.clock.at += 15_000;
    await bench.broker.sweep();
    expect(bench.stateOf(ask)).toBe('revoked');
  });

  test('of a credential that is not configured any more is an alarm, not an end', async () => {
    const { bench } = createFailing();
    const ask = askOf();
    await bench.broker.lease(ask);
    const without = createBench({ ports: { records: bench.records, offers: new Map() } });
    for (const one of bench.records.stored.values()) without.index.put(one);
    without.clock.at += 30_000;
    await without.broker.sweep();
    expect(bench.stateOf(ask)).toBe('revoking');
    expect(without.events).toEqual([]);
  });
});

describe('operators', () => {
  const createOperated = () => {
    const { provider, bench } = createFailing();
    const operators = createBrokerOperators({ ...bench.ports, broker: bench.broker, instance: 'broker-1' });
    return { provider, bench, operators };
  };

  test('end leases by prefix: whole parts only, with their name and reason in evidence', async () => {
    const { bench, operators } = createOperated();
    const [mine, longer] = [askOf(), askOf({ claims: claimsOf({ agent: 'demo2' }) })];
    for (const ask of [mine, longer]) await bench.broker.lease(ask);
    expect(await operators.revoke('ann', { v: 1, prefix: 'default/demo', reason: 'odd' })).toMatchObject({
      revoked: 1,
      unproven: 0,
      failed: [],
    });
    expect([bench.stateOf(mine), bench.stateOf(longer)]).toEqual(['revoked', 'active']);
    expect(bench.events.at(-1)?.data).toMatchObject({ why: 'operator', by: 'ann', reason: 'odd' });
    expect(operators.leases(undefined).leases.map(({ lease }) => lease.split('/')[1])).toEqual(['demo2']);
  });

  test('are told what could not be ended', async () => {
    const { provider, bench, operators } = createOperated();
    provider.fails = 1;
    await bench.broker.lease(askOf());
    const answer = await operators.revoke('ann', { v: 1, prefix: 'default', reason: 'odd' });
    expect(answer).toMatchObject({ revoked: 0, failed: [{ problem: expect.stringContaining('provider is down') }] });
  });

  test('resolve what is irrevocable, and nothing else', async () => {
    const { provider, bench, operators } = createOperated();
    provider.fails = Number.POSITIVE_INFINITY;
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    expect(await operators.resolve('ann', { v: 1, lease, reason: 'dropped by hand' })).toBe('not_irrevocable');
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    for (const pause of pausesMs) {
      bench.clock.at += pause;
      await bench.broker.sweep();
    }
    expect(operators.leases('default/demo').leases).toMatchObject([{ state: 'irrevocable', problem: down.message }]);
    expect(await operators.resolve('ann', { v: 1, lease, reason: 'dropped by hand' })).toBe('resolved');
    expect(bench.stateOf(ask)).toBe('revoked');
    expect(bench.events.at(-1)?.data).toMatchObject({ why: 'resolved', by: 'ann', proof: { kind: 'unprovable' } });
    expect(await operators.resolve('ann', { v: 1, lease, reason: 'again' })).toBe('not_found');
  });

  test('can have an irrevocable one tried again', async () => {
    const { provider, bench, operators } = createOperated();
    provider.fails = 6;
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    for (const pause of pausesMs) {
      bench.clock.at += pause;
      await bench.broker.sweep();
    }
    expect(bench.stateOf(ask)).toBe('irrevocable');
    expect(await operators.revoke('ann', { v: 1, prefix: lease, reason: 'it is up' })).toMatchObject({ revoked: 1 });
  });

  test('try a credential: made, used, ended, and refused after', async () => {
    const { provider, bench, operators } = createOperated();
    const offer = bench.ports.offers.get('crm-key');
    if (!offer) throw new Error('no offer');
    let ended = false;
    offer.provider.revoke = async () => {
      ended = true;
    };
    offer.provider.probe = async () =>
      ended ? { state: 'refused', detail: 'refused' } : { state: 'alive', detail: 'taken' };
    expect(await operators.test('ann', 'crm-key')).toMatchObject({
      ok: true,
      steps: [
        { step: 'mint', status: 'ok' },
        { step: 'use', status: 'ok', detail: 'taken' },
        { step: 'revoke', status: 'ok' },
        { step: 'refused', status: 'ok', detail: 'refused' },
      ],
    });
    expect(bench.events.map(({ name, agent }) => [name, agent])).toEqual([
      ['lease.issued', 'ann'],
      ['lease.revoked', 'ann'],
    ]);
    expect(provider.tries).toBe(0);
    await expect(operators.test('ann', 'other')).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
  });

  test('are told of a credential that works only until it is used', async () => {
    const { provider, operators } = createOperated();
    provider.probe = { state: 'refused', detail: 'login refused' };
    expect(await operators.test('ann', 'crm-key')).toMatchObject({
      ok: false,
      steps: [{ status: 'ok' }, { step: 'use', status: 'failed' }, { status: 'ok' }, { status: 'ok' }],
    });
  });
});

describe('a kill', () => {
  const scope = { kind: 'session', id: 'ses_00000000000000000001' } as const;

  test('ends the leases in its scope and tells of each; from its first moment none is given', async () => {
    const { provider, bench } = createFailing();
    const [mine, other] = [askOf(), askOf({ claims: claimsOf({ session: 'ses_00000000000000000002' }) })];
    const { lease } = await bench.broker.lease(mine);
    await bench.broker.lease(other);
    const containing = bench.broker.contain(7, scope);
    await expect(bench.broker.lease(askOf())).rejects.toMatchObject({ code: 'KILLED_SESSION' });
    expect(await containing).toEqual({ revoked: [lease], unproven: [], failed: [] });
    expect([bench.stateOf(mine), bench.stateOf(other), provider.tries]).toEqual(['revoked', 'active', 1]);
  });

  test('ends leases when its scope is held, and tells of them when the order is there; what failed by then is ended again', async () => {
    const { provider, bench } = createFailing();
    const [ask, late] = [askOf(), askOf()];
    const { lease } = await bench.broker.lease(ask);
    bench.broker.hold(scope);
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('revoked'));
    provider.fails = 2;
    const { lease: left } = await bench.broker.lease(late);
    bench.broker.hold(scope);
    await vi.waitFor(() => expect(provider.tries).toBe(2));
    const told = await bench.broker.contain(7, scope);
    expect({ ...told, revoked: told.revoked.toSorted() }).toEqual({
      revoked: [lease, left].toSorted(),
      unproven: [],
      failed: [],
    });
  });

  test('tells the order of a wider scope, too, of what cannot be proven and was ended when a narrower one was held', async () => {
    const { provider, bench } = createFailing();
    provider.probe = { state: 'unprovable', detail: 'a token' };
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    bench.broker.hold(scope);
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('revoked'));
    expect(await bench.broker.contain(7, { kind: 'agent', id: 'demo' })).toMatchObject({ unproven: [lease] });
    expect(await bench.broker.contain(8, scope)).toMatchObject({ unproven: [lease] });
  });

  test('does not use up the tries of the sweep, however often a kill is repeated while the provider is down', async () => {
    const { provider, bench } = createFailing();
    provider.fails = 9;
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    for (let order = 1; order <= 9; order++)
      expect(await bench.broker.contain(order, scope)).toEqual({ revoked: [], unproven: [], failed: [lease] });
    expect([provider.tries, bench.stateOf(ask)]).toEqual([9, 'revoking']);
    bench.clock.at += 1_000;
    await bench.broker.sweep();
    expect([provider.tries, bench.stateOf(ask)]).toEqual([10, 'revoked']);
  });

  test('tells of what cannot be proven, and of what is not ended', async () => {
    const { provider, bench } = createFailing();
    provider.probe = { state: 'unprovable', detail: 'a token' };
    const { lease } = await bench.broker.lease(askOf());
    expect(await bench.broker.contain(7, scope)).toEqual({ revoked: [], unproven: [lease], failed: [] });
    const failing = createFailing();
    failing.provider.fails = 1;
    const { lease: left } = await failing.bench.broker.lease(askOf());
    expect(await failing.bench.broker.contain(7, scope)).toEqual({ revoked: [], unproven: [], failed: [left] });
    expect(provider.tries).toBe(1);
  });

  test('tells of a lease that its runner released at the same moment', async () => {
    const { bench } = createFailing();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const [told] = await Promise.all([
      bench.broker.contain(7, scope),
      bench.broker.release({ lease, permit: ask.permit.claims.id }),
    ]);
    expect(told).toEqual({ revoked: [lease], unproven: [], failed: [] });
    expect(bench.events.filter(({ name }) => name === 'lease.revoked')).toHaveLength(1);
  });

  test('tells of a lease as soon as its end is proven, and evidence comes after', async () => {
    const gate = Promise.withResolvers<string>();
    const { bench } = createFailing();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const record = vi.spyOn(bench.ports.evidence, 'record').mockReturnValueOnce(gate.promise);
    expect(await bench.broker.contain(7, scope)).toEqual({ revoked: [lease], unproven: [], failed: [] });
    expect(record).toHaveBeenCalledOnce();
    expect(bench.stateOf(ask)).toBe('revoking');
    gate.resolve('evt_00000000000000000001');
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('revoked'));
  });

  test('ends a lease at its provider while its record is being written, and tells of it only after both', async () => {
    const gate = Promise.withResolvers<void>();
    const { provider, bench } = createFailing();
    await bench.broker.lease(askOf());
    const { update } = bench.records;
    vi.spyOn(bench.records, 'update').mockImplementationOnce(async (...write) => {
      await gate.promise;
      return update(...write);
    });
    const told = vi.fn();
    const containing = bench.broker.contain(7, scope).then(told);
    await vi.waitFor(() => expect(provider.tries).toBe(1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told).not.toHaveBeenCalled();
    gate.resolve();
    await containing;
    expect(told).toHaveBeenCalledWith({ revoked: [expect.any(String)], unproven: [], failed: [] });
    expect(provider.tries).toBe(1);
  });

  test('does not end a lease that is still being made before its record says so: it could come into being after', async () => {
    const gate = Promise.withResolvers<void>();
    const { provider, bench } = createFailing();
    const ask = askOf();
    await bench.broker.lease(ask);
    const held = bench.records.stored.get(ask.permit.claims.id);
    if (!held) throw new Error('not stored');
    const revision = await bench.records.update({ ...held.record, state: 'intended' }, held.revision);
    bench.index.put({ record: { ...held.record, state: 'intended' }, revision: revision as number });
    const { update } = bench.records;
    vi.spyOn(bench.records, 'update').mockImplementationOnce(async (...write) => {
      await gate.promise;
      return update(...write);
    });
    const containing = bench.broker.contain(7, scope);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(provider.tries).toBe(0);
    gate.resolve();
    expect(await containing).toMatchObject({ revoked: [expect.any(String)] });
  });

  test('waits for an end that began before it, without asking for the record over and over', async () => {
    const gate = Promise.withResolvers<void>();
    const bench = createBench({ provider: { revoke: () => gate.promise } });
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const releasing = bench.broker.release({ lease, permit: ask.permit.claims.id });
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('revoking'));
    const read = vi.spyOn(bench.records, 'read');
    const containing = bench.broker.contain(7, scope);
    await new Promise((resolve) => setTimeout(resolve, 50));
    gate.resolve();
    expect(await containing).toEqual({ revoked: [lease], unproven: [], failed: [] });
    expect(read).not.toHaveBeenCalled();
    await releasing;
  });
});

describe('the comparison with the provider', () => {
  test('ends what only the provider has, and tells it as an orphan', async () => {
    const ended: string[] = [];
    const bench = createBench({
      provider: {
        revoke: async ({ permit }) => void ended.push(permit),
        list: async () => ({ permits: ['prm_00000000000000007777', mine], complete: true }),
      },
    });
    const ask = askOf();
    const mine = ask.permit.claims.id;
    await bench.broker.lease(ask);
    await bench.broker.reconcile();
    expect(ended).toEqual(['prm_00000000000000007777']);
    expect(bench.events.at(-1)).toMatchObject({
      name: 'lease.revoked',
      data: { why: 'orphan', credential: 'crm-key' },
    });
    expect(bench.stateOf(ask)).toBe('active');
  });

  test('ends an orphan whose lease is recorded as over', async () => {
    const ended: string[] = [];
    let listed: string[] = [];
    const bench = createBench({
      provider: {
        revoke: async ({ permit }) => void ended.push(permit),
        list: async () => ({ permits: listed, complete: true }),
      },
    });
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    listed = [ask.permit.claims.id];
    await bench.broker.reconcile();
    expect(ended).toEqual([ask.permit.claims.id, ask.permit.claims.id]);
  });

  test('does not call an orphan what ended while it was listed', async () => {
    const ended: string[] = [];
    const there = new Set<string>();
    const bench = createBench({
      provider: {
        mint: async ({ permit }) => {
          there.add(permit);
          return { parts: { secret: 'x' }, hidden: [] };
        },
        revoke: async ({ permit }) => {
          ended.push(permit);
          there.delete(permit);
        },
        list: async () => {
          const permits = [...there];
          if (there.size > 0) await bench.broker.release({ lease, permit: ask.permit.claims.id });
          return { permits, complete: true };
        },
      },
    });
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.reconcile();
    expect(ended).toEqual([ask.permit.claims.id]);
    expect(bench.events.map(({ data }) => (data as { why?: string }).why)).toEqual([undefined, 'released']);
  });

  test('raises an alarm for an orphan that cannot be ended, each time, and goes on with the others', async () => {
    const [bad, good] = ['prm_00000000000000007777', 'prm_00000000000000008888'];
    const bench = createBench({
      provider: {
        revoke: async ({ permit }) => {
          if (permit === bad) throw down;
        },
        list: async () => ({ permits: [bad, good], complete: true }),
      },
    });
    const alarms = () => bench.logged.filter((line) => /^ALARM/.test((line as { message: string }).message)).length;
    await bench.broker.reconcile();
    expect(alarms()).toBe(1);
    expect(bench.events.map(({ subject }) => subject)).toEqual([`orphan/crm-key/${good}`]);
    await bench.broker.reconcile();
    expect(alarms()).toBe(2);
  });

  test.each([
    [true, 'revoked'],
    [false, 'active'],
  ] as const)('records as lost what a provider that lists all (%s) does not have', async (complete, state) => {
    const bench = createBench({ provider: { list: async () => ({ permits: [], complete }) } });
    const ask = askOf({ claims: claimsOf({ deadline: 1_800_000_000_000 }) });
    await bench.broker.lease(ask);
    await bench.broker.reconcile();
    expect(bench.stateOf(ask), 'too young to be called lost').toBe('active');
    bench.clock.at += 31_000;
    await bench.broker.reconcile();
    expect(bench.stateOf(ask)).toBe(state);
    if (complete) expect(bench.events.at(-1)?.data).toMatchObject({ why: 'lost' });
  });

  test('of one provider that does not answer hinders no other', async () => {
    const bench = createBench({
      provider: {
        list: async () => {
          throw down;
        },
      },
    });
    await bench.broker.reconcile();
    expect(bench.logged).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('could not be compared') }),
    );
  });
});
