import { silent } from '@agentgate/bus';
import type { KillRecord } from '@agentgate/contracts';
import { afterEach, expect, test, vi } from 'vitest';
import { createOrders, type Order } from '../src/orders.ts';
import { createViewSync, type ViewSync } from '../src/view-sync.ts';
import { createFakeStream, createFakeView, encode, session, streamName } from './fakes.ts';

const open: ViewSync[] = [];
afterEach(() => {
  for (const sync of open.splice(0)) sync.close();
});
const kill = (id: string, state: KillRecord['state'] = 'killed'): KillRecord => ({
  v: 1,
  state,
  scope: session(id),
  reason: 'why',
  by: 'ann',
  at: '2026-03-01T12:00:00.000Z',
});
const [a, b] = ['ses_aaaaaaaaaa', 'ses_bbbbbbbbbb'];

const setUp = () => {
  const stream = createFakeStream();
  const orders = createOrders();
  const view = createFakeView();
  let sync: ViewSync | undefined;
  const following = { on: true };
  stream.onOrder((order: Order) => {
    if (!following.on) return;
    orders.follow(encode(order));
    sync?.followed(order, order.epoch);
  });
  const begin = () => {
    sync = createViewSync({ view, orders, stream, log: silent, backoff: { first: 1, most: 5 } });
    open.push(sync);
    return sync;
  };
  return { stream, orders, view, begin, following };
};
const until = (what: () => boolean) => vi.waitFor(() => expect(what()).toBe(true), { timeout: 2_000, interval: 1 });

test('not ready before the whole stream is in the view', async () => {
  const { stream, view, begin } = setUp();
  await stream.write(kill(a));
  const sync = begin();
  expect(sync.ready()).toBe(false);
  await until(sync.ready);
  expect(view.marker).toEqual({ stream: streamName, epoch: 1 });
  expect(view.written.get(`session:${a}`)).toMatchObject({ state: 'killed', epoch: 1 });
});

test('an order that is followed reaches the view with its epoch', async () => {
  const { stream, view, begin } = setUp();
  const sync = begin();
  await until(sync.ready);
  await stream.write(kill(a));
  expect(await sync.settled(1, 1_000)).toBe(true);
  await stream.write(kill(a, 'lifted'));
  expect(await sync.settled(2, 1_000)).toBe(true);
  expect(view.written.get(`session:${a}`)).toMatchObject({ state: 'lifted' });
  expect(view.marker).toEqual({ stream: streamName, epoch: 2 });
});

test('a view that was emptied is rebuilt whole when the next order comes', async () => {
  const { stream, view, begin } = setUp();
  const sync = begin();
  await until(sync.ready);
  await stream.write(kill(a));
  await sync.settled(1, 1_000);
  view.empty();
  await stream.write(kill(b));
  await until(() => sync.ready() && sync.confirmed() === 2);
  expect([...view.written.keys()].sort()).toEqual([`session:${a}`, `session:${b}`]);
});

test('a suspicion stops everything until the view is rebuilt', async () => {
  const { stream, view, begin } = setUp();
  await stream.write(kill(a));
  const sync = begin();
  await until(sync.ready);
  view.empty();
  sync.suspect('its marker is missing');
  expect(sync.ready()).toBe(false);
  await until(sync.ready);
  expect(view.written.size).toBe(1);
});

test('a suspicion that comes during a rebuild is not forgotten', async () => {
  const { stream, view, begin } = setUp();
  await stream.write(kill(a));
  const rebuild = view.rebuild;
  let rebuilds = 0;
  view.rebuild = async (orders, epoch) => {
    const done = await rebuild(orders, epoch);
    if (++rebuilds === 1) sync.suspect('it was emptied right after');
    return done;
  };
  const sync = begin();
  await until(sync.ready);
  expect(rebuilds).toBe(2);
});

test('not ready as long as the view cannot be written, and ready again by itself', async () => {
  const { stream, view, begin } = setUp();
  const sync = begin();
  await until(sync.ready);
  view.down = true;
  await stream.write(kill(a));
  await until(() => !sync.ready());
  view.down = false;
  await until(sync.ready);
  expect(view.written.get(`session:${a}`)).toMatchObject({ state: 'killed' });
});

test('not ready when the view knows a later order than the stream: acknowledged orders are gone', async () => {
  const { stream, view, begin } = setUp();
  await stream.write(kill(a));
  view.marker = { stream: streamName, epoch: 9 };
  const sync = begin();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(sync.ready()).toBe(false);
  expect(view.marker.epoch).toBe(9);
  view.marker = { stream: 'an older life of the deployment', epoch: 9 };
  await until(sync.ready);
});

test('not ready while the stream was not followed to what its leader says', async () => {
  const { stream, view, begin, orders, following } = setUp();
  following.on = false;
  await stream.write(kill(a));
  const sync = begin();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect([sync.ready(), view.marker]).toEqual([false, undefined]);
  orders.follow(encode({ key: `session:${a}`, epoch: 1, record: kill(a) }));
  await until(sync.ready);
});

test('more orders than may wait are written by a rebuild', async () => {
  const { stream, view, begin } = setUp();
  const sync = begin();
  await until(sync.ready);
  const advance = view.advance;
  view.advance = async (...args) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return advance(...args);
  };
  await Promise.all(Array.from({ length: 3_000 }, (_, i) => stream.write(kill(`ses_${String(i).padStart(10, '0')}`))));
  await until(() => sync.ready() && sync.confirmed() === 3_000);
  expect(view.written.size).toBe(3_000);
});
