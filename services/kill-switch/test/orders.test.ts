import { type KillRecord, killSubject, scopeKey } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createOrders } from '../src/orders.ts';
import { encode, session, start } from './fakes.ts';

const record = (more: Partial<KillRecord> = {}): KillRecord => ({
  v: 1,
  state: 'killed',
  scope: session(),
  reason: 'why',
  by: 'ann',
  at: '2026-03-01T12:00:00.000Z',
  ...more,
});
const order = (epoch: number, more: Partial<KillRecord> = {}) => {
  const r = record(more);
  return { key: scopeKey(r.scope), epoch, record: r };
};

test('an older order does not replace a newer one of the same scope', () => {
  const orders = createOrders();
  orders.apply(order(5));
  orders.follow(encode(order(4, { state: 'lifted' })));
  expect(orders.get('session:ses_0123456789')).toMatchObject({ epoch: 5, record: { state: 'killed' } });
  expect(orders.epoch()).toBe(4);
});

test('an order taken ahead of the stream does not move the epoch', () => {
  const orders = createOrders();
  orders.apply(order(9));
  expect(orders.epoch()).toBe(0);
  expect(orders.active()).toMatchObject([{ epoch: 9, by: 'ann' }]);
});

test.each([
  ['no JSON', Buffer.from('{')],
  ['no record', Buffer.from('{"v":1}')],
  ['another scope than its subject', Buffer.from(JSON.stringify(record({ scope: { kind: 'global' } })))],
])('a message with %s is unreadable until another one replaces it', (_, data) => {
  const orders = createOrders();
  const subject = killSubject('session:ses_0123456789');
  expect(orders.follow({ subject, seq: 1, data })).toBeUndefined();
  expect(orders.unreadable()).toEqual([subject]);
  orders.follow(encode(order(2)));
  expect(orders.unreadable()).toEqual([]);
});

test('lists orders as expired only from their end on, and not after they were lifted', () => {
  const orders = createOrders();
  orders.follow(encode(order(1, { expires_at: new Date(start + 1000).toISOString() })));
  expect(orders.expired(start + 999)).toEqual([]);
  expect(orders.expired(start + 1000)).toHaveLength(1);
  orders.follow(encode(order(2, { state: 'lifted' })));
  expect(orders.expired(start + 1000)).toEqual([]);
});

test('an order without an end that replaces one with an end does not expire', () => {
  const orders = createOrders();
  orders.follow(encode(order(1, { expires_at: new Date(start).toISOString() })));
  orders.follow(encode(order(2)));
  expect(orders.expired(start + 1)).toEqual([]);
});

test('reached waits for the epoch, and gives up after its time', async () => {
  const orders = createOrders();
  const soon = orders.reached(1, 1_000);
  orders.follow(encode(order(1)));
  expect(await soon).toBe(true);
  expect(await orders.reached(2, 5)).toBe(false);
});
