import { AgentGateError, type KillRecord, type Scope, scopeKey } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createCheck } from '../src/check.ts';
import { createFreshness } from '../src/freshness.ts';
import { createOrders } from '../src/orders.ts';
import { createFakeClock, createFakeView, encode, session, streamName } from './fakes.ts';

const call = { tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'files/read' };
const record = (scope: Scope, state: KillRecord['state'] = 'killed'): KillRecord => ({
  v: 1,
  state,
  scope,
  reason: 'why',
  by: 'ann',
  at: '2026-03-01T12:00:00.000Z',
});
const order = (epoch: number, scope: Scope, state?: KillRecord['state']) => ({
  key: scopeKey(scope),
  epoch,
  record: record(scope, state),
});

const setUp = (more: { ready?: boolean; confirmed?: number } = {}) => {
  const clock = createFakeClock();
  const orders = createOrders();
  const view = createFakeView();
  view.marker = { stream: streamName, epoch: more.confirmed ?? 0 };
  const suspicions: string[] = [];
  const freshness = createFreshness({ epoch: orders.epoch, monotonic: clock.monotonic });
  freshness.vouch(0, 0);
  const sync = {
    ready: () => more.ready ?? true,
    confirmed: () => more.confirmed ?? 0,
    suspect: (why: string) => void suspicions.push(why),
  };
  return { clock, orders, view, suspicions, check: createCheck({ orders, view, sync, freshness, stream: streamName }) };
};
const refused = (message: string) => [expect.objectContaining({ code: 'KILL_SWITCH_UNAVAILABLE', message })];

test('clear, with the epoch, when neither memory nor the view knows an order', async () => {
  const { check, orders } = setUp();
  orders.follow(encode(order(1, session('ses_another_one'))));
  expect(await check([call])).toEqual([{ epoch: 1 }]);
});

test.each<Scope>([
  { kind: 'session', id: 'ses_0123456789' },
  { kind: 'agent', id: 'demo' },
  { kind: 'agent', id: 'demo', tenant: 'default' },
  { kind: 'tool', id: 'files/read' },
  { kind: 'tool', id: 'files/read', tenant: 'default' },
  { kind: 'tenant', id: 'default' },
  { kind: 'global' },
])('killed by %j, whether memory or the view knows it', async (scope) => {
  const inMemory = setUp();
  inMemory.orders.follow(encode(order(3, scope)));
  expect(await inMemory.check([call])).toEqual([{ epoch: 3, killed: { scope, reason: 'why' } }]);
  const inView = setUp();
  await inView.view.put(order(3, scope));
  expect(await inView.check([call])).toEqual([{ epoch: 0, killed: { scope, reason: 'why' } }]);
});

test.each<Scope>([
  { kind: 'session', id: 'ses_9876543210' },
  { kind: 'agent', id: 'demo', tenant: 'other' },
  { kind: 'tool', id: 'files/read', tenant: 'other' },
  { kind: 'tenant', id: 'other' },
])('clear when only %j is killed', async (scope) => {
  const { check, orders } = setUp();
  orders.follow(encode(order(3, scope)));
  expect(await check([call])).toEqual([{ epoch: 3 }]);
});

test('the widest of several scopes is told', async () => {
  const { check, orders } = setUp();
  orders.follow(encode(order(1, session())));
  orders.follow(encode(order(2, { kind: 'tenant', id: 'default' })));
  expect(await check([call])).toMatchObject([{ killed: { scope: { kind: 'tenant' } } }]);
});

test('killed as long as one of the two still says so after a lift', async () => {
  const { check, orders, view } = setUp();
  await view.put(order(1, session()));
  orders.follow(encode(order(1, session())));
  orders.follow(encode(order(2, session(), 'lifted')));
  expect(await check([call])).toMatchObject([{ killed: { scope: session() } }]);
  await view.put(order(2, session(), 'lifted'));
  expect(await check([call])).toEqual([{ epoch: 2 }]);
});

test.each([
  ['is missing', undefined, 'its marker is missing'],
  ['is of another stream', { stream: 'another', epoch: 9 }, 'it stands at epoch 9 of the stream of another'],
  [
    'is behind what was confirmed',
    { stream: streamName, epoch: 4 },
    `it stands at epoch 4 of the stream of ${streamName}`,
  ],
])('refuses, and has the view rebuilt, when its marker %s', async (_, marker, why) => {
  const { check, view, suspicions } = setUp({ confirmed: 5 });
  view.marker = marker;
  expect(await check([call])).toEqual(refused('the kill view is being rebuilt'));
  expect(suspicions).toEqual([why]);
});

test('refuses while the view is not ready, without reading it', async () => {
  const { check, view } = setUp({ ready: false });
  expect(await check([call])).toEqual(refused('the kill view is being rebuilt'));
  expect(view.reads).toBe(0);
});

test('refuses when the view cannot be read, but still tells a kill that memory knows', async () => {
  const { check, view, orders, suspicions } = setUp();
  view.down = true;
  expect(await check([call])).toEqual(refused('the kill view in Redis cannot be reached'));
  expect(suspicions).toEqual(['it cannot be read']);
  orders.follow(encode(order(1, session())));
  expect(await check([call, { ...call, session: 'ses_9876543210' }])).toEqual([
    { epoch: 1, killed: { scope: session(), reason: 'why' } },
    expect.any(AgentGateError),
  ]);
});

test('refuses when nobody vouched for the orders for 3 s', async () => {
  const { check, clock } = setUp();
  clock.pass(3_001);
  expect(await check([call])).toEqual(refused('the kill orders are stale'));
});

test('refuses while an order cannot be read', async () => {
  const { check, orders } = setUp();
  orders.follow({ subject: 'kill.v1.x', seq: 1, data: Buffer.from('?') });
  expect(await check([call])).toEqual(refused('an order cannot be read'));
});

test('a batch is one read of each key once, and 10,000 active kills do not change that', async () => {
  const { check, view, orders } = setUp();
  for (let i = 0; i < 10_000; i++) orders.follow(encode(order(i + 1, session(`ses_${String(i).padStart(10, '0')}`))));
  const calls = Array.from({ length: 256 }, (_, i) => ({
    ...call,
    session: `ses_mine_${String(i).padStart(10, '0')}`,
  }));
  expect(await check(calls)).toHaveLength(256);
  expect(view.reads).toBe(1);
  expect(view.keysRead).toBe(5 + 256);
});
