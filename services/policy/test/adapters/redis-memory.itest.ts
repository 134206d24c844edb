import { type Commit, keyOf } from '@agentgate/policy-engine';
import { type Ground, startGround } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRedisMemory, maxValues } from '../../src/adapters/redis-memory.ts';
import { createRedisRateLimits } from '../../src/adapters/redis-rate-limits.ts';
import { createRedisSessions } from '../../src/adapters/redis-sessions.ts';

let ground: Ground;
let redis: Redis;
/** A second replica of the service. */
let other: Redis;
let session: string;
let count = 0;
const agent = () => `agent-${count}`;
const who = () => ({ tenant: 'default', agent: agent(), session });

beforeAll(async () => {
  ground = await startGround();
  redis = new Redis(ground.redisUrl('policy'));
  other = new Redis(ground.redisUrl('policy'));
});
afterAll(async () => {
  redis?.disconnect();
  other?.disconnect();
  await ground?.stop();
});
beforeEach(async () => {
  session = `ses_${String(++count).padStart(10, '0')}`;
  const at = { openedAt: Date.now(), expiresAt: Date.now() + 60_000, purpose: '', user: 'UA' };
  await createRedisSessions(redis, Date.now).open({ ...who(), ...at });
});

const memory = () => createRedisMemory(redis);
const key = (text: string) => keyOf('email', text);
const seen = (from: 'structured' | 'text', ...texts: string[]) =>
  texts.map((text) => ({ key: key(text), kind: 'email' as const, from }));
const remember = (more: Partial<Parameters<ReturnType<typeof memory>['remember']>[0]> = {}) =>
  memory().remember({ ...who(), tool: 'mail/read', private: false, values: [], overflow: false, ...more });
const recall = async (texts: string[], counter = 'c', by = memory()) => {
  const [found] = await by.recall([{ ...who(), counter, keys: texts.map(key) }]);
  if (!found) throw new Error('nothing recalled');
  return found;
};
const commit = (more: Partial<Commit> = {}): Commit => ({
  ...who(),
  expiresAt: Date.now() + 60_000,
  taint: [],
  written: [],
  ...more,
});

describe('what was seen', () => {
  test('is known to every replica, with where it stood and in whose result', async () => {
    await remember({ values: seen('text', 'a', 'b'), private: true });
    await remember({ values: seen('structured', 'b'), tool: 'crm/list' });
    const { sources, full } = await recall(['a', 'b', 'c'], 'c', createRedisMemory(other));
    expect(full).toBe(false);
    expect(sources.get(key('a'))).toEqual([{ from: 'text', tool: 'mail/read', private: true }]);
    expect(sources.get(key('b'))).toEqual([
      { from: 'text', tool: 'mail/read', private: true },
      { from: 'structured', tool: 'crm/list', private: false },
    ]);
    expect(sources.has(key('c'))).toBe(false);
  });
  test('is of that session only', async () => {
    await remember({ values: seen('structured', 'a') });
    const [elsewhere] = await memory().recall([
      { ...who(), session: 'ses_9999999999', counter: 'c', keys: [key('a')] },
    ]);
    expect(elsewhere?.sources.size).toBe(0);
  });
  test('much text does not hide the one structured field', async () => {
    for (const tool of ['a/1', 'a/2', 'a/3', 'a/4', 'a/5']) await remember({ values: seen('text', 'a'), tool });
    await remember({ values: seen('structured', 'a') });
    const { sources } = await recall(['a']);
    expect(sources.get(key('a'))?.map(({ from }) => from)).toEqual(['text', 'text', 'structured']);
  });
  test('is refused for somebody else’s session, and nothing for one that is gone', async () => {
    await expect(remember({ agent: 'mallory', values: seen('structured', 'a') })).rejects.toMatchObject({
      code: 'UNKNOWN_SESSION',
    });
    await remember({ session: 'ses_8888888888', values: seen('structured', 'a') });
    expect((await recall(['a'])).sources.size).toBe(0);
    expect(await redis.exists('mem:ses_8888888888')).toBe(0);
  });
  test('is bounded: what comes after is not added, and that is told', async () => {
    const texts = Array.from({ length: maxValues }, (_, i) => `v${i}`);
    for (let from = 0; from < maxValues; from += 2_500)
      await remember({ values: seen('text', ...texts.slice(from, from + 2_500)) });
    expect((await recall(['v0', `v${maxValues - 1}`])).full).toBe(false);
    await remember({ values: seen('structured', 'late', 'v0') });
    const { sources, full } = await recall(['late', 'v0']);
    expect(full).toBe(true);
    expect(sources.has(key('late'))).toBe(false);
    expect(sources.get(key('v0'))?.map(({ from }) => from)).toEqual(['text', 'structured']);
    expect(await redis.hlen(`mem:${session}`)).toBeLessThan(maxValues + 10);
  });
  test('more than was looked at is told', async () => {
    await remember({ overflow: true });
    expect((await recall(['a'])).full).toBe(true);
  });
  test('ends with the session', async () => {
    await remember({ values: seen('text', 'a') });
    const left = await redis.pttl(`mem:${session}`);
    expect(left).toBeGreaterThan(60_000);
    expect(left).toBeLessThanOrEqual(60_000 + 60 * 60 * 1000);
  });
});

describe('a budget', () => {
  test('is not overdrawn by two replicas at once, and what is refused leaves nothing', async () => {
    const charge = { counter: 'requests 0', budget: 3 };
    const both = [memory(), createRedisMemory(other)];
    const asked = Array.from({ length: 10 }, (_, i) =>
      both[i % 2]?.commit([commit({ charge, written: [key(`w${i}`)] })]),
    );
    const left = (await Promise.all(asked)).flatMap((answers) => answers ?? []);
    expect(left.filter(Boolean)).toHaveLength(3);
    const { used, written } = await recall(
      Array.from({ length: 10 }, (_, i) => `w${i}`),
      charge.counter,
    );
    expect(used).toBe(3);
    expect(written.size).toBe(3);
  });
  test('of one batch is counted in order', async () => {
    const charge = { counter: 'c', budget: 1 };
    expect(await memory().commit([commit({ charge }), commit({ charge }), commit()])).toEqual([true, false, true]);
  });
});

describe('taint', () => {
  const look = async (of = who()) => {
    const [facts] = await createRedisSessions(other, Date.now).look([of], { count: false });
    return facts?.taint;
  };
  test('is on session and agent, and on the next session of that agent', async () => {
    await memory().commit([commit({ taint: ['untrusted-read', 'private-read'] })]);
    expect((await look())?.session.sort()).toEqual(['private-read', 'untrusted-read']);
    const next = { ...who(), session: 'ses_7777777777' };
    const at = { openedAt: Date.now(), expiresAt: Date.now() + 60_000, purpose: '', user: 'UA' };
    await createRedisSessions(redis, Date.now).open({ ...next, ...at });
    expect(await look(next)).toEqual({ session: [], agent: expect.arrayContaining(['untrusted-read']) });
    expect(await redis.pttl(`taint:default/${agent()}`)).toBe(-1);
  });
  test('is cleared from a session and its agent, or from the agent alone', async () => {
    await memory().commit([commit({ taint: ['a', 'b'] })]);
    expect(await memory().taintOf(who())).toEqual(['a', 'b']);
    await memory().clearTaint({ tenant: 'default', agent: agent() }, ['a', 'b']);
    expect(await memory().taintOf({ tenant: 'default', agent: agent() })).toEqual([]);
    expect(await look()).toEqual({ session: expect.arrayContaining(['a', 'b']), agent: [] });
    await memory().clearTaint(who(), ['a']);
    expect(await memory().taintOf(who())).toEqual(['b']);
  });
});

test('what an agent wrote is known in all its sessions, the oldest forgotten first', async () => {
  await memory().commit([commit({ written: [key('first')] })]);
  for (let i = 0; i < 4; i++)
    await memory().commit([commit({ written: Array.from({ length: 5_000 }, (_, n) => key(`w${i}-${n}`)) })]);
  expect(await redis.zcard(`wrote:default/${agent()}`)).toBe(20_000);
  const [found] = await memory().recall([
    { ...who(), session: 'ses_6666666666', counter: 'c', keys: [key('first'), key('w3-4999')] },
  ]);
  expect([...(found?.written ?? [])]).toEqual([key('w3-4999')]);
});

describe('limits', () => {
  const limit = (key: string, limit = 3, window_s = 60) => [{ key, limit, window_s }];
  test('are counted together by all replicas', async () => {
    const both = [createRedisRateLimits(redis), createRedisRateLimits(other)];
    const taken = await Promise.all(Array.from({ length: 8 }, (_, i) => both[i % 2]?.take(limit(agent()))));
    expect(taken.filter((over) => over === undefined)).toHaveLength(3);
    expect(taken.find((over) => over)).toEqual({ key: agent(), retryAfterMs: expect.any(Number) });
    const waits = taken.flatMap((over) => over?.retryAfterMs ?? []);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    expect(Math.min(...waits)).toBeGreaterThan(50_000);
  });
  test('begin anew after their window, by Redis’ clock', async () => {
    const limits = createRedisRateLimits(redis);
    expect(await limits.take(limit(`${agent()}w`, 1, 1))).toBeUndefined();
    expect(await limits.take(limit(`${agent()}w`, 1, 1))).toBeDefined();
    await expect.poll(() => limits.take(limit(`${agent()}w`, 1, 1)), { timeout: 5_000, interval: 200 }).toBeUndefined();
  });
  test('of nought let nothing through, and the first that is over is told', async () => {
    const limits = createRedisRateLimits(redis);
    expect(await limits.take([...limit('free', 9), ...limit(`${agent()}z`, 0)])).toMatchObject({ key: `${agent()}z` });
  });
});

test('POLICY_UNAVAILABLE when Redis is gone', async () => {
  const lost = new Redis(ground.redisUrl('policy'), {
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    lazyConnect: true,
  });
  lost.on('error', () => {});
  await lost.connect();
  lost.disconnect();
  const gone = createRedisMemory(lost);
  const failures = [
    gone.recall([{ ...who(), counter: 'c', keys: [] }]),
    gone.commit([commit()]),
    gone.taintOf(who()),
    createRedisRateLimits(lost).take([{ key: 'k', limit: 1, window_s: 1 }]),
  ];
  for (const failure of failures) await expect(failure).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
});
