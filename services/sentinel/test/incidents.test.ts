import { silent } from '@agentgate/bus';
import { AgentGateError, type EventDraft, type IncidentRecord, type KillReceipt } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createIncidentIndex } from '../src/incident-index.ts';
import { createIncidents } from '../src/incidents.ts';
import type { Held, Records } from '../src/ports.ts';
import type { Trigger } from '../src/watch-state.ts';
import { began, eventOf, sessionOf } from './fixtures.ts';

const trigger: Trigger = {
  id: 'inc_0123456789',
  rule: 'probing',
  kind: 'denials',
  scope: { kind: 'session', id: sessionOf(1), tenant: 'default' },
  tenant: 'default',
  agent: 'demo',
  session: sessionOf(1),
  reason: '3 refused calls within 60 s (rule probing)',
  events: [eventOf(1)],
  at: began,
};
const receipt = (more: Partial<KillReceipt> = {}): KillReceipt => ({
  v: 1,
  epoch: 7,
  scope: trigger.scope,
  ordered_at: new Date(began).toISOString(),
  contained: true,
  contained_in_ms: 3,
  points: [{ service: 'ingress', instance: 'i1', confirmed_in_ms: 1 }],
  calls: [],
  leases: { revoked: 0, irrevocable: [] },
  approvals: { voided: 0 },
  signature: 'x',
  ...more,
});

/** What all replicas share: the bucket, evidence and the kill-switch. */
const createWorld = () => {
  const all = new Map<string, Held>();
  let revision = 0;
  const world = {
    all,
    at: began,
    bucketFails: false,
    orderFails: false,
    receipt: receipt(),
    orders: [] as string[],
    events: [] as EventDraft[],
    endings: [] as string[],
    record: () => (all.get(trigger.id) as Held).record,
  };
  const up = () => {
    if (world.bucketFails) throw new AgentGateError('INTERNAL', 'bucket INCIDENTS does not answer');
  };
  const records: Records = {
    create: async (record) => {
      up();
      if (all.has(record.id)) return 'conflict';
      all.set(record.id, { record, revision: ++revision });
      return revision;
    },
    update: async (record, expected) => {
      up();
      if (all.get(record.id)?.revision !== expected) return 'conflict';
      all.set(record.id, { record, revision: ++revision });
      return revision;
    },
    read: async (id) => all.get(id),
  };
  const replica = () => {
    const index = createIncidentIndex();
    const incidents = createIncidents({
      records,
      index,
      order: async ({ incident }) => {
        world.orders.push(incident);
        if (world.orderFails) throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'kill-switch is not running');
        return { receipt: world.receipt, evidence: { ordered: eventOf(90), contained: [eventOf(91)] } };
      },
      evidence: {
        record: async (draft) => {
          world.events.push(draft as EventDraft);
          return eventOf(100 + world.events.length);
        },
      },
      now: () => world.at,
      log: silent,
      onOrder: (_, how) => void world.endings.push(how),
    });
    return { ...incidents, follow: () => [...all.values()].forEach(index.put) };
  };
  return { world, replica };
};
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
const names = (events: EventDraft[]) => events.map(({ name }) => name);

test('opens, orders, keeps the receipt, and tells of each', async () => {
  const { world, replica } = createWorld();
  await replica().open(trigger);
  await settled();
  expect(world.record()).toMatchObject({
    state: 'contained',
    reason: '3 refused calls within 60 s (rule probing), incident inc_0123456789',
    receipt: receipt(),
    evidence: { ordered: eventOf(90), contained: [eventOf(91), expect.any(String)], opened: expect.any(String) },
  });
  expect(names(world.events)).toEqual(['incident.opened', 'incident.contained']);
  expect(world.endings).toEqual(['contained']);
});

test('two replicas that found the same make one incident and one order', async () => {
  const { world, replica } = createWorld();
  await Promise.all([replica().open(trigger), replica().open(trigger)]);
  await settled();
  expect(world.orders).toHaveLength(1);
  expect(world.events).toHaveLength(2);
});

test('one that died in between is followed by another, and only after a while', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  await replica().open(trigger);
  await settled();
  const other = replica();
  other.follow();
  world.orderFails = false;
  world.at += 4_000;
  await other.sweep();
  expect(world.record().state).toBe('open');
  world.at += 2_000;
  await other.sweep();
  expect(world.record().state).toBe('contained');
  expect(world.orders).toHaveLength(2);
});

test('an order that nobody took is an alarm, told once and asked for again', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  const one = replica();
  await one.open(trigger);
  await settled();
  for (let i = 0; i < 3; i++) {
    world.at += 6_000;
    one.follow();
    await one.sweep();
  }
  expect(world.record()).toMatchObject({ state: 'open', problem: 'kill-switch is not running' });
  expect(names(world.events)).toEqual(['incident.opened', 'incident.failed']);
  expect(new Set(world.endings)).toEqual(new Set(['failed']));
  expect(world.orders).toHaveLength(4);
});

test.each([
  ['a lease that is not revoked', { leases: { revoked: 1, irrevocable: ['default/demo/x'] } }],
  [
    'a point that did not confirm',
    { points: [{ service: 'ingress' as const, instance: 'i1', confirmed_in_ms: null }] },
  ],
])('%s is an alarm and no success', async (_, more) => {
  const { world, replica } = createWorld();
  world.receipt = receipt({ contained: false, ...more });
  await replica().open(trigger);
  await settled();
  expect(world.record().state).toBe('not_contained');
  expect(world.endings).toEqual(['not_contained']);
  expect(world.events.at(-1)).toMatchObject({ name: 'incident.contained', data: { contained: false } });
});

test('orders although the incident cannot be written, and says that it is not opened', async () => {
  const { world, replica } = createWorld();
  world.bucketFails = true;
  await expect(replica().open(trigger)).rejects.toThrow('bucket INCIDENTS does not answer');
  expect(world.orders).toEqual([trigger.id]);
});

test('is released by the lift of its scope, once, whoever hears of it; an older lift releases nothing', async () => {
  const { world, replica } = createWorld();
  const [one, other] = [replica(), replica()];
  await one.open(trigger);
  await settled();
  other.follow();
  const lift = { scope: trigger.scope, by: 'ann', reason: 'fine', at: new Date(began).toISOString(), epoch: 6 };
  await one.lifted(lift);
  expect(world.record().state).toBe('contained');
  await Promise.all([one.lifted({ ...lift, epoch: 8 }), other.lifted({ ...lift, epoch: 8 })]);
  expect(world.record()).toMatchObject({ state: 'released', released: { by: 'ann', reason: 'fine', epoch: 8 } });
  expect(names(world.events).filter((name) => name === 'incident.released')).toHaveLength(1);
});

test('a lift that is known before the receipt releases it at the next sweep', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  const one = replica();
  await one.open(trigger);
  await settled();
  await one.lifted({ scope: trigger.scope, by: 'ann', reason: 'fine', at: new Date(began).toISOString(), epoch: 8 });
  world.orderFails = false;
  world.at += 6_000;
  await one.sweep();
  expect(world.record().state).toBe('released');
});

test('whom an operator released before the receipt was here is not stopped again', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  const one = replica();
  await one.open(trigger);
  await settled();
  const lift = { scope: trigger.scope, by: 'ann', reason: 'fine', at: new Date(began).toISOString(), epoch: 8 };
  await one.lifted({ ...lift, incident: trigger.id });
  expect(world.record()).toMatchObject({ state: 'released', released: { by: 'ann', epoch: 8 } });
  world.orderFails = false;
  world.at += 6_000;
  await one.sweep();
  expect(world.orders).toHaveLength(1);
});

test('a lift of what stood there before does not release an incident that has no receipt', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  const one = replica();
  await one.open(trigger);
  await settled();
  await one.lifted({ scope: trigger.scope, by: 'ann', reason: 'fine', at: new Date(began).toISOString(), epoch: 8 });
  expect(world.record().state).toBe('open');
});

test('a second reason to stop what nobody could stop yet makes no second incident', async () => {
  const { world, replica } = createWorld();
  world.orderFails = true;
  const one = replica();
  await one.open(trigger);
  await settled();
  await one.open({ ...trigger, id: 'inc_9999999999' });
  expect([...world.all.keys()]).toEqual([trigger.id]);
});

test('takes 64 notes and no more, and lists what is open', async () => {
  const { world, replica } = createWorld();
  const one = replica();
  await one.open(trigger);
  await settled();
  for (let i = 0; i < 64; i++)
    expect(await one.note('ann', { v: 1, incident: trigger.id, text: `note ${i}` })).toEqual({ v: 1, status: 'noted' });
  expect(await one.note('ann', { v: 1, incident: trigger.id, text: 'too many' })).toEqual({ v: 1, status: 'full' });
  expect(await one.note('ann', { v: 1, incident: 'inc_none000000', text: 'x' })).toEqual({ v: 1, status: 'not_found' });
  const ids = (incidents: IncidentRecord[]) => incidents.map(({ id }) => id);
  expect(ids(one.list({ v: 1 }).incidents)).toEqual([trigger.id]);
  expect(world.record().notes).toHaveLength(64);
});
