import { type PlainRedis, startPlainRedis } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRedisMarks } from '../../src/adapters/redis-marks.ts';
import type { SharedMarks } from '../../src/used-permits.ts';

let plain: PlainRedis;
let redis: Redis;
let marks: SharedMarks;
let other: SharedMarks;

beforeAll(async () => {
  plain = await startPlainRedis();
  const open = () =>
    new Redis(plain.url, {
      enableOfflineQueue: false,
      commandTimeout: 500,
      maxRetriesPerRequest: 0,
      lazyConnect: true,
    });
  redis = open();
  const replica = open();
  for (const each of [redis, replica]) {
    each.on('error', () => {});
    await each.connect();
  }
  marks = createRedisMarks(redis);
  other = createRedisMarks(replica);
});
afterAll(async () => {
  redis.disconnect();
  await plain.stop();
});

const markAll = (by: SharedMarks, ids: string[], ttlMs = 5_000) => Promise.all(ids.map((id) => by.mark(id, ttlMs)));

test('each permit is new once, alone or among others, and for all replicas', async () => {
  expect(await markAll(marks, ['a'])).toEqual([true]);
  expect(await markAll(other, ['a'])).toEqual([false]);
  expect(await markAll(marks, ['b', 'a', 'c', 'b'])).toEqual([true, false, true, false]);
  expect(await markAll(other, ['c', 'd'])).toEqual([false, true]);
});

test('two replicas that mark the same at the same time: one of them has it', async () => {
  const ids = Array.from({ length: 200 }, (_, i) => `race-${i}`);
  const [mine, theirs] = await Promise.all([markAll(marks, ids), markAll(other, [...ids].reverse())]);
  expect(mine.map((isNew, i) => [isNew, theirs[ids.length - 1 - i]].filter(Boolean).length)).toEqual(ids.map(() => 1));
});

test('a mark lives as long as it was told, alone or among others', async () => {
  await Promise.all([marks.mark('short', 1_500.2), marks.mark('long', 60_000)]);
  await marks.mark('lone', 1_500.2);
  for (const [key, most] of [
    ['permit:short', 1_501],
    ['permit:lone', 1_501],
    ['permit:long', 60_000],
  ] as const) {
    const left = await redis.pttl(key);
    expect(left).toBeLessThanOrEqual(most);
    expect(left).toBeGreaterThan(most - 1_400);
  }
});

test('marks on where Redis forgot the script', async () => {
  await redis.script('FLUSH');
  expect(await markAll(marks, ['e', 'f', 'a'])).toEqual([true, true, false]);
});

test('rejects all that Redis does not answer for', async () => {
  await redis.call('CONFIG', 'SET', 'maxmemory', '1');
  const told = await Promise.allSettled([...['g', 'h'].map((id) => marks.mark(id, 5_000))]);
  expect(told.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(marks.mark('i', 5_000)).rejects.toThrow(/OOM/);
  await redis.call('CONFIG', 'SET', 'maxmemory', '0');
  await plain.program.stop();
  const gone = await Promise.allSettled(['j', 'k'].map((id) => marks.mark(id, 5_000)));
  expect(gone.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(marks.mark('l', 5_000)).rejects.toThrow();
});
