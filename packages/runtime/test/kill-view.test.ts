import type { Scope } from '@agentgate/contracts';
import { describe, expect, test } from 'vitest';
import { createKillState } from '../src/index.ts';

const call = { tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'fs/read' };
const session: Scope = { kind: 'session', id: call.session };
const stale = expect.objectContaining({ code: 'KILL_SWITCH_UNAVAILABLE' });

const view = () => {
  let now = 0;
  const state = createKillState(() => now);
  return { state, wait: (ms: number) => (now += ms) };
};

describe('a kill view', () => {
  test('is stale until somebody vouched for it, and again 3 s after the last pulse', () => {
    const { state, wait } = view();
    expect(() => state.check(call)).toThrow(stale);
    state.pulse(0);
    expect(state.check(call)).toEqual({ epoch: 0 });
    wait(3_000);
    expect(state.check(call)).toEqual({ epoch: 0 });
    wait(1);
    expect(() => state.check(call)).toThrow(stale);
  });

  test('is as old as its newest pulse was when it was said, not when it was heard', () => {
    const { state, wait } = view();
    state.pulse(0);
    wait(2_000);
    // It waited before a process that was frozen.
    state.pulse(0, 1_950);
    expect(state.check(call)).toEqual({ epoch: 0 });
    expect(() => state.check(call, 1_900)).toThrow(stale);
    state.pulse(0, 1_000);
    expect(state.check(call, 1_900)).toEqual({ epoch: 0 });
    // A clock that is behind makes nothing younger than now.
    state.pulse(0, -60_000);
    wait(1_901);
    expect(() => state.check(call, 1_900)).toThrow(stale);
  });

  test('is not vouched for by a pulse that knows of more than it has', () => {
    const { state } = view();
    state.pulse(5);
    expect(() => state.check(call)).toThrow(stale);
    state.take(5, { state: 'lifted', scope: session, reason: '' });
    expect(() => state.check(call)).toThrow(stale);
    state.pulse(5);
    expect(state.check(call)).toEqual({ epoch: 5 });
  });

  test('lets nothing start in a scope whose order is being written, and lets go at the word of the stream', () => {
    const { state } = view();
    state.pulse(0);
    state.hold(session);
    expect(state.check(call).killed).toEqual({ scope: session, reason: 'an operator is ordering it' });
    expect(state.check({ ...call, session: 'ses_other_00000' })).toEqual({ epoch: 0 });
    state.take(1, { state: 'killed', scope: session, reason: 'hijacked' });
    expect(state.check(call).killed?.reason).toBe('hijacked');
    state.take(2, { state: 'lifted', scope: session, reason: 'all clear' });
    expect(state.check(call)).toEqual({ epoch: 2 });
  });

  test('lets go after a second where no order came', () => {
    const { state, wait } = view();
    state.pulse(0);
    state.hold(session);
    wait(999);
    expect(state.check(call).killed).toBeDefined();
    wait(1);
    expect(state.check(call)).toEqual({ epoch: 0 });
  });

  test.each<[string, Scope]>([
    ['session', session],
    ['agent', { kind: 'agent', id: 'demo' }],
    ['tool', { kind: 'tool', id: 'fs/read' }],
    ['tool of the tenant', { kind: 'tool', id: 'fs/read', tenant: 'default' }],
    ['tenant', { kind: 'tenant', id: 'default' }],
    ['global', { kind: 'global' }],
  ])('covers a call by its %s until that is lifted', (_, scope) => {
    const { state } = view();
    state.pulse(0);
    state.take(1, { state: 'killed', scope, reason: 'stop' });
    expect(state.check(call)).toEqual({ epoch: 1, killed: { scope, reason: 'stop' } });
    state.take(2, { state: 'lifted', scope, reason: '' });
    expect(state.check(call)).toEqual({ epoch: 2 });
  });

  test('does not cover another tenant’s agent of the same name', () => {
    const { state } = view();
    state.pulse(0);
    state.take(1, { state: 'killed', scope: { kind: 'agent', id: 'demo', tenant: 'other' }, reason: 'stop' });
    expect(state.check(call)).toEqual({ epoch: 1 });
  });

  test('stays lifted when a late word of the order comes after the lift', () => {
    const { state } = view();
    state.pulse(0);
    state.take(1, { state: 'killed', scope: session, reason: 'stop' });
    state.take(2, { state: 'lifted', scope: session, reason: '' });
    state.apply(session, 1);
    expect(state.check(call)).toEqual({ epoch: 2 });
  });

  test('keeps an order that was applied ahead of the stream when an older record of the scope comes after it', () => {
    const { state } = view();
    state.pulse(0);
    state.apply(session, 9);
    state.take(8, { state: 'lifted', scope: session, reason: '' });
    expect(state.check(call)).toMatchObject({ killed: { scope: session } });
    state.take(10, { state: 'lifted', scope: session, reason: '' });
    expect(state.check(call)).toEqual({ epoch: 10 });
  });

  test('covers what its newest record of each scope kills, whatever came before and in whichever order', () => {
    const scopes: Scope[] = [
      session,
      { kind: 'agent', id: 'demo' },
      { kind: 'tool', id: 'fs/read' },
      { kind: 'global' },
    ];
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 50; round++) {
      const { state, wait } = view();
      state.pulse(0);
      const newest = new Map<Scope, { seq: number; killed: boolean }>();
      for (let step = 0; step < 40; step++) {
        const scope = scopes[random(scopes.length)] as Scope;
        const seq = 1 + random(60);
        const killed = random(2) === 0;
        if (killed && random(2) === 0) state.apply(scope, seq);
        else state.take(seq, { state: killed ? 'killed' : 'lifted', scope, reason: 'stop' });
        if (seq > (newest.get(scope)?.seq ?? 0)) newest.set(scope, { seq, killed });
        wait(1);
        expect(state.check(call).killed !== undefined).toBe([...newest.values()].some((known) => known.killed));
      }
    }
  });
});
