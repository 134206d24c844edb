import { type Ground, startGround } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { redisUsers } from '../src/redis-conf.ts';

let ground: Ground;
const clients: Redis[] = [];
beforeAll(async () => {
  ground = await startGround();
});
afterAll(async () => {
  for (const client of clients) client.disconnect();
  await ground.stop();
});
const as = (service: Parameters<Ground['redisUrl']>[0]) => {
  const client = new Redis(ground.redisUrl(service), { retryStrategy: () => null });
  client.on('error', () => {});
  clients.push(client);
  return client;
};
const own = { ingress: 'idem:a', policy: 'ses:a', 'kill-switch': 'kill:a', 'tool-runner': 'permit:a' } as Record<
  string,
  string
>;

test.each(redisUsers)('lets %s use values, hashes and scripts under its own prefix', async (service) => {
  const redis = as(service);
  const key = own[service] ?? '';
  expect(await redis.set(key, '1', 'PX', 60_000, 'NX')).toBe('OK');
  expect(await redis.mget(key)).toEqual(['1']);
  expect(await redis.hset(`${key}:h`, 'f', '1')).toBe(1);
  expect(await redis.eval("redis.call('PEXPIRE', KEYS[1], 5000) return redis.call('GET', KEYS[1])", 1, key)).toBe('1');
  expect(await redis.script('LOAD', 'return 1')).toMatch(/^[0-9a-f]{40}$/);
  expect(await redis.del(key)).toBe(1);
});

test.each(redisUsers)('keeps %s from the keys of the others, also by script', async (service) => {
  const redis = as(service);
  for (const key of Object.values(own).filter((k) => k !== own[service])) {
    await expect(redis.get(key)).rejects.toThrow('NOPERM');
    await expect(redis.set(key, 'x')).rejects.toThrow('NOPERM');
    await expect(redis.eval(`return redis.call('SET', '${key}', 'x')`, 0)).rejects.toThrow(
      /can't access at least one of the keys|No permissions/i,
    );
  }
});

test.each([
  'FLUSHALL',
  'FLUSHDB',
  'KEYS *',
  'SCAN 0',
  'RANDOMKEY',
  'CONFIG GET *',
  'ACL LIST',
  'MONITOR',
  'SHUTDOWN',
  'SAVE',
  'REPLICAOF NO ONE',
  'SCRIPT FLUSH',
  'FUNCTION LIST',
  'CLIENT LIST',
  'SUBSCRIBE x',
  'PUBLISH x y',
  'SELECT 1',
])('refuses %s', async (line) => {
  const [command = '', ...args] = line.split(' ');
  await expect(as('kill-switch').call(command, ...args)).rejects.toThrow('NOPERM');
});

test('takes nobody without a password', async () => {
  const stranger = new Redis(ground.redisPort, '127.0.0.1', { retryStrategy: () => null, enableReadyCheck: false });
  stranger.on('error', () => {});
  clients.push(stranger);
  await expect(stranger.get('kill:a')).rejects.toThrow('NOAUTH');
});

test('keeps what a script wrote when Redis starts again', async () => {
  const write = "redis.call('SET', KEYS[1], '1') redis.call('PEXPIRE', KEYS[1], 60000) return 1";
  await as('policy').eval(write, 1, 'ses:kept');
  await ground.redis.stop();
  await ground.redis.start();
  expect(await as('policy').get('ses:kept')).toBe('1');
});
