import { type KillRecord, type Scope, scopeKey } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createRedisView } from '../../src/adapters/redis-view.ts';
import type { Order } from '../../src/orders.ts';
import { session } from '../fakes.ts';

let ground: Ground;
let redis: Redis;
beforeAll(async () => {
  ground = await startGround();
  redis = new Redis(ground.redisUrl('kill-switch'));
});
afterAll(async () => {
  redis.disconnect();
  await ground.stop();
});

const stream = '2026-01-01T00:00:00Z';
const ids = ['ses_aaaaaaaaaa', 'ses_bbbbbbbbbb'] as const;
const [a, b] = ids.map((id) => `session:${id}`) as [string, string];
const scopeKeyInRedis = (key: string) => `kill:scope:${key}`;
const view = (more: Partial<Parameters<typeof createRedisView>[0]> = {}) =>
  createRedisView({ redis, stream, instance: 'k1', ...more });
const order = (epoch: number, id: string, state: KillRecord['state'] = 'killed'): Order => {
  const scope: Scope = session(id);
  return {
    key: scopeKey(scope),
    epoch,
    record: { v: 1, state, scope, reason: 'why', by: 'ann', at: '2026-03-01T12:00:00.000Z' },
  };
};

beforeEach(async () => {
  await redis.del('kill:view', 'kill:building:k1', scopeKeyInRedis(a), scopeKeyInRedis(b));
});

test('an empty view has no marker and no orders', async () => {
  expect(await view().read([a, b])).toEqual({ marker: undefined, orders: new Map() });
});

test('a rebuilt view has its marker and its orders, killed and lifted', async () => {
  expect(await view().rebuild([order(3, ids[0]), order(4, ids[1], 'lifted')], 4)).toBe(true);
  expect(await view().read([a, b])).toEqual({
    marker: { stream, epoch: 4 },
    orders: new Map([
      [a, { stream, epoch: 3, state: 'killed', scope: session(ids[0]), reason: 'why' }],
      [b, { stream, epoch: 4, state: 'lifted', scope: session(ids[1]), reason: 'why' }],
    ]),
  });
  expect(await redis.ttl(scopeKeyInRedis(a))).toBe(-1);
  expect(await redis.ttl(scopeKeyInRedis(b))).toBeGreaterThan(80_000);
});

test.each(['put', 'advance', 'rebuild'] as const)('%s does not replace a newer order by an older one', async (how) => {
  await view().rebuild([order(5, ids[0], 'lifted')], 5);
  const older = order(4, ids[0]);
  if (how === 'put') await view().put(older);
  if (how === 'advance') expect(await view().advance([older], 3, 4)).toBe(true);
  if (how === 'rebuild') expect(await view().rebuild([older], 4)).toBe(true);
  const read = await view().read([a]);
  expect(read.orders.get(a)).toMatchObject({ epoch: 5, state: 'lifted' });
  expect(read.marker?.epoch).toBe(5);
});

test('put leaves the marker as it is', async () => {
  await view().put(order(9, ids[0]));
  expect((await view().read([a])).marker).toBeUndefined();
  await view().rebuild([], 1);
  await view().put(order(10, ids[0]));
  expect(await view().read([a])).toMatchObject({ marker: { epoch: 1 } });
});

test.each([
  ['is missing', undefined],
  ['is behind', { stream, epoch: 2 }],
  ['is of another stream', { stream: 'another', epoch: 9 }],
  ['is no JSON', '?'],
])('advance writes nothing when the marker %s', async (_, marker) => {
  if (marker !== undefined) await redis.set('kill:view', typeof marker === 'string' ? marker : JSON.stringify(marker));
  expect(await view().advance([order(4, ids[0])], 3, 4)).toBe(false);
  expect(await redis.exists(scopeKeyInRedis(a))).toBe(0);
});

test('an order of another stream counts for nothing and is replaced whatever its epoch', async () => {
  await view({ stream: 'another' }).put(order(99, ids[0]));
  expect((await view().read([a])).orders.size).toBe(0);
  await view().rebuild([order(1, ids[0])], 1);
  expect((await view().read([a])).orders.get(a)).toMatchObject({ stream, epoch: 1 });
});

test.each([
  ['no JSON', () => redis.set(scopeKeyInRedis(a), '?')],
  ['of another form', () => redis.set(scopeKeyInRedis(a), '{"epoch":1}')],
])('a view with an order that is %s cannot vouch for itself, until it is rebuilt', async (_, spoil) => {
  await view().rebuild([order(1, ids[0])], 1);
  await spoil();
  expect(await view().read([a])).toEqual({ marker: undefined, orders: new Map() });
  await view().rebuild([order(1, ids[0])], 1);
  expect(await view().read([a])).toMatchObject({ marker: { epoch: 1 } });
});

test('a key of another type does not stop a rebuild', async () => {
  await redis.hset(scopeKeyInRedis(a), 'x', 'y');
  expect(await view().rebuild([order(1, ids[0])], 1)).toBe(true);
  expect((await view().read([a])).orders.get(a)).toMatchObject({ epoch: 1 });
});

test('a rebuild during which the view was emptied ends without a marker', async () => {
  let evals = 0;
  const emptied: Pick<Redis, 'mget' | 'eval' | 'set'> = {
    mget: redis.mget.bind(redis),
    set: redis.set.bind(redis),
    eval: (async (...args: Parameters<Redis['eval']>) => {
      if (++evals === 2) await redis.del('kill:building:k1', scopeKeyInRedis(a));
      return redis.eval(...args);
    }) as Redis['eval'],
  };
  expect(await view({ redis: emptied }).rebuild([order(1, ids[0])], 1)).toBe(false);
  expect((await view().read([a])).marker).toBeUndefined();
});

test('two instances may rebuild at once', async () => {
  const orders = [order(1, ids[0]), order(2, ids[1])];
  expect(await Promise.all([view().rebuild(orders, 2), view({ instance: 'k2' }).rebuild(orders, 2)])).toEqual([
    true,
    true,
  ]);
  expect((await view().read([a, b])).orders.size).toBe(2);
});

test('10,000 orders are rebuilt and read by one MGET of the keys that matter', async () => {
  const many = Array.from({ length: 10_000 }, (_, i) => order(i + 1, `ses_${String(i).padStart(10, '0')}`));
  expect(await view().rebuild(many, 10_000)).toBe(true);
  const read = await view().read(many.slice(0, 300).map((o) => o.key));
  expect(read.orders.size).toBe(300);
  await redis.unlink(...many.map((o) => scopeKeyInRedis(o.key)));
});

test('KILL_SWITCH_UNAVAILABLE when Redis does not answer', async () => {
  const gone = new Redis(ground.redisUrl('kill-switch'), { lazyConnect: true, enableOfflineQueue: false });
  await expect(view({ redis: gone }).read([a])).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: 'the kill view in Redis cannot be reached',
  });
  gone.disconnect();
});
