import { describe, expect, test } from 'vitest';
import { createFixture, session } from './fakes.ts';

const ask = (more: object = {}) => ({
  scope: { kind: 'session' as const, id: 'ses_0123456789' },
  reason: 'a rule is met',
  incident: 'inc_0123456789',
  events: ['evt_0123456789'],
  ...more,
});
const fixture = (dual: ('session' | 'agent')[] = []) => {
  const f = createFixture(dual);
  f.fakePoints.add('ingress', 'i1');
  f.fakePoints.add('tool-runner', 'r1');
  return f;
};

describe('an order that no person gave', () => {
  test('is the same transaction: written, contained, in evidence with its incident and what led there', async () => {
    const f = fixture();
    const { receipt, evidence } = await f.killSwitch.order('sentinel', ask());
    // It may be refused, so nothing is held for it.
    expect(f.held).toEqual([]);
    expect(receipt).toMatchObject({ epoch: 1, contained: true, scope: session() });
    expect(f.recorded.map(({ name }) => name)).toEqual(['kill.ordered', 'kill.contained']);
    expect(f.recorded[0]?.data).toMatchObject({
      by: 'sentinel',
      incident: 'inc_0123456789',
      events: ['evt_0123456789'],
    });
    expect(evidence).toEqual({ ordered: 'evt_0000000001', contained: ['evt_0000000002'] });
    expect(f.orders.active()).toMatchObject([{ by: 'sentinel', epoch: 1 }]);
  });

  test('is one order however often it is asked for', async () => {
    const f = fixture();
    await f.killSwitch.order('sentinel', ask());
    const { receipt } = await f.killSwitch.order('sentinel', ask());
    expect(receipt.epoch).toBe(1);
    expect(f.stream.epoch).toBe(1);
  });

  test("contains what a person killed already without taking that order's place", async () => {
    const f = fixture();
    await f.killSwitch.kill('ann', { v: 1, scope: session(), reason: 'mine' });
    const { receipt, evidence } = await f.killSwitch.order('sentinel', ask());
    expect(receipt.epoch).toBe(1);
    expect(evidence.ordered).toBeUndefined();
    expect(f.orders.active()).toMatchObject([{ by: 'ann', reason: 'mine' }]);
    expect(await f.killSwitch.release('bob', { v: 1, incident: 'inc_0123456789', reason: 'x' })).toMatchObject({
      status: 'not_killed',
    });
    expect(f.orders.active()).toHaveLength(1);
  });

  test('takes the place of a kill that would end by itself', async () => {
    const f = fixture();
    await f.killSwitch.kill('ann', { v: 1, scope: session(), reason: 'for a while', expires_in_ms: 60_000 });
    await f.killSwitch.order('sentinel', ask());
    expect(f.orders.active()).toEqual([expect.not.objectContaining({ expires_at: expect.anything() })]);
  });

  test('whose lease may still be good is not contained', async () => {
    const f = fixture();
    f.fakePoints.add('credential-broker', 'b1');
    f.fakePoints.answerWith('credential-broker/b1', (epoch) => ({
      epoch,
      calls: [],
      leases: { revoked: [], unproven: [], failed: ['default/demo/x'] },
    }));
    const { receipt } = await f.killSwitch.order('sentinel', ask());
    expect(receipt).toMatchObject({ contained: false, leases: { irrevocable: ['default/demo/x'] } });
  });
});

describe('a release', () => {
  test('lifts the order of its incident, and tells of it', async () => {
    const f = fixture();
    await f.killSwitch.order('sentinel', ask());
    const release = { v: 1 as const, incident: 'inc_0123456789', reason: 'looked at it' };
    expect(await f.killSwitch.release('ann', release)).toMatchObject({ status: 'lifted', epoch: 2 });
    expect(f.recorded.at(-1)).toMatchObject({
      name: 'kill.lifted',
      data: { by: 'ann', reason: 'looked at it', incident: 'inc_0123456789' },
    });
    expect(await f.killSwitch.release('ann', release)).toMatchObject({ status: 'not_killed' });
  });

  test('stands: asked again for an incident that was released, nobody is killed again', async () => {
    const f = fixture();
    await f.killSwitch.order('sentinel', ask());
    await f.killSwitch.release('ann', { v: 1, incident: 'inc_0123456789', reason: 'fine' });
    await expect(f.killSwitch.order('sentinel', ask())).rejects.toMatchObject({
      code: 'FIELD_INVALID',
      message: '/incident: its order was lifted by ann already',
    });
    expect(f.orders.active()).toEqual([]);
    // Nothing was held for it, so nothing ended.
    expect(f.recorded.map(({ name }) => name)).not.toContain('kill.failed');
    expect((await f.killSwitch.order('sentinel', ask({ incident: 'inc_9876543210' }))).receipt.contained).toBe(true);
  });

  test("lifts no person's kill that took its order's place", async () => {
    const f = fixture();
    await f.killSwitch.order('sentinel', ask());
    await f.killSwitch.kill('ann', { v: 1, scope: session(), reason: 'mine now' });
    expect(await f.killSwitch.release('bob', { v: 1, incident: 'inc_0123456789', reason: 'x' })).toMatchObject({
      status: 'not_killed',
    });
    expect(f.orders.active()).toMatchObject([{ by: 'ann' }]);
  });

  test("lifts no person's kill that this replica has not heard of yet", async () => {
    const f = fixture();
    await f.killSwitch.order('sentinel', ask());
    const stale = f.orders.all();
    await f.killSwitch.kill('ann', { v: 1, scope: session(), reason: 'mine now' });
    Object.assign(f.orders, { all: () => stale });
    expect(await f.killSwitch.release('bob', { v: 1, incident: 'inc_0123456789', reason: 'x' })).toMatchObject({
      status: 'not_killed',
    });
    expect(f.orders.active()).toMatchObject([{ by: 'ann' }]);
  });

  test('needs two where dual control says so', async () => {
    const f = fixture(['session']);
    await f.killSwitch.order('sentinel', ask());
    const release = { v: 1 as const, incident: 'inc_0123456789', reason: 'fine' };
    expect(await f.killSwitch.release('ann', release)).toMatchObject({ status: 'pending_second' });
    expect(await f.killSwitch.release('ann', release)).toMatchObject({ status: 'pending_second' });
    expect(await f.killSwitch.release('bob', release)).toMatchObject({ status: 'lifted' });
  });
});
