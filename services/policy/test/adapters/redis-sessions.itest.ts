import { type Ground, startGround } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRedisSessions } from '../../src/adapters/redis-sessions.ts';

let ground: Ground;
let redis: Redis;
let now = Date.now();
let number = 0;
const owner = { tenant: 'default', agent: 'demo' };
let session = '';

beforeAll(async () => {
  ground = await startGround();
  redis = new Redis(ground.redisUrl('policy'), {
    enableOfflineQueue: false,
    commandTimeout: 500,
    maxRetriesPerRequest: 0,
    retryStrategy: () => 50,
  });
  redis.on('error', () => {});
  await new Promise((resolve) => redis.once('ready', resolve));
});
afterAll(async () => {
  redis?.disconnect();
  await ground?.stop();
});
beforeEach(() => {
  now = Date.now();
  session = `ses_000000000${++number}`;
});
const sessions = () => createRedisSessions(redis, () => now);
const open = () =>
  sessions().open({ ...owner, session, openedAt: now, expiresAt: now + 10_000, user: 'UA', purpose: 'tidy "up"\n' });
const look = async (more: object = {}, count = true) =>
  (await sessions().look([{ ...owner, session, ...more }], { count }))[0];

test('a session has the facts with which it was opened, and counts its calls', async () => {
  await open();
  const wanted = {
    ...owner,
    openedAt: now,
    expiresAt: now + 10_000,
    purpose: 'tidy "up"\n',
    user: 'UA',
    held: false,
    denied: 0,
    taint: { session: [], agent: [] },
  };
  expect(await look()).toEqual({ ...wanted, calls: 0 });
  expect(await look()).toEqual({ ...wanted, calls: 1 });
  await sessions().countDenied([session, session]);
  expect(await look({}, false)).toEqual({ ...wanted, calls: 2, denied: 2 });
  expect(await look({}, false)).toEqual({ ...wanted, calls: 2, denied: 2 });
});

test('a batch is answered in order, and what is not known stays so', async () => {
  await open();
  const asked = ['ses_none1', session, 'ses_none2'].map((each) => ({ ...owner, session: each }));
  const found = await sessions().look(asked, { count: true });
  expect(found.map((each) => each?.agent)).toEqual([undefined, 'demo', undefined]);
  await sessions().countDenied(['ses_none1']);
  expect(await redis.exists('ses:ses_none1', 'ses:ses_none2')).toBe(0);
  expect(await sessions().look([], { count: true })).toEqual([]);
});

test('calls of one batch have the facts that they would have had one after the other', async () => {
  await open();
  const other = `ses_other00${number}`;
  await sessions().open({
    ...owner,
    session: other,
    openedAt: now,
    expiresAt: now + 10_000,
    user: 'UA',
    purpose: 'another',
  });
  await redis.sadd(`taint:${session}`, 'private');
  await redis.sadd('taint:default/other', 'foreign');
  const asked = [session, other, session, 'ses_none', session].map((each) => ({ ...owner, session: each }));
  const stranger = { tenant: 'default', agent: 'other', session };
  const found = await sessions().look([...asked, stranger, stranger], { count: true });
  expect(found.map((each) => each?.calls)).toEqual([0, 0, 1, undefined, 2, 3, 3]);
  expect(found.map((each) => each?.purpose)).toEqual([
    ...['tidy "up"\n', 'another', 'tidy "up"\n', undefined, 'tidy "up"\n'],
    ...['tidy "up"\n', 'tidy "up"\n'],
  ]);
  expect(found[4]?.taint).toEqual({ session: ['private'], agent: [] });
  expect(found[5]).toMatchObject({ agent: 'demo', taint: { session: ['private'], agent: ['foreign'] } });
  expect((await sessions().look(asked, { count: false })).map((each) => each?.calls)).toEqual([3, 1, 3, undefined, 3]);
  await redis.del('taint:default/other');
});

test('another agent’s asking counts nothing', async () => {
  await open();
  expect((await look({ agent: 'other' }))?.agent).toBe('demo');
  expect((await look({ tenant: 'acme' }))?.calls).toBe(0);
  expect((await look())?.calls).toBe(0);
});

test('a session goes by itself, an hour after its expiry', async () => {
  await open();
  const ttl = await redis.pttl(`ses:${session}`);
  expect(ttl).toBeGreaterThan(3_600_000);
  expect(ttl).toBeLessThanOrEqual(3_610_000);
});

describe('hold', () => {
  const hold = (call: string, held: boolean, more: object = {}) =>
    sessions().hold({ ...owner, session, call, held, ...more });
  test('lasts until each call that holds it is released, however often each is told', async () => {
    await open();
    expect(await hold('call_1', true)).toBe(true);
    expect(await hold('call_1', true)).toBe(true);
    expect(await hold('call_2', true)).toBe(true);
    expect((await look())?.held).toBe(true);
    await hold('call_1', false);
    await hold('call_1', false);
    expect((await look())?.held).toBe(true);
    await hold('call_2', false);
    expect((await look())?.held).toBe(false);
  });
  test('is refused to others, and makes no session of one that is gone', async () => {
    expect(await hold('call_1', true)).toBe(true);
    expect(await redis.exists(`ses:${session}`)).toBe(0);
    await open();
    expect(await hold('call_1', true, { agent: 'other' })).toBe(false);
    expect((await look())?.held).toBe(false);
  });
});

test('an agent may open 2,000 sessions an hour, and the next hour again', async () => {
  const agent = `busy${number}`;
  const key = `ses:opened:default/${agent}:${Math.floor(now / 3_600_000)}`;
  await redis.set(key, 1_999);
  expect(await sessions().admit({ tenant: 'default', agent })).toBe(true);
  expect(await sessions().admit({ tenant: 'default', agent })).toBe(false);
  expect(await sessions().admit({ tenant: 'acme', agent })).toBe(true);
  now += 3_600_000;
  expect(await sessions().admit({ tenant: 'default', agent })).toBe(true);
});

test('POLICY_UNAVAILABLE while Redis is away, and sessions are there again with it, though not the scripts', async () => {
  await open();
  await ground.redis.stop();
  await expect(look()).rejects.toMatchObject({
    code: 'POLICY_UNAVAILABLE',
    message: 'policy cannot read its sessions',
  });
  await expect(open()).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  await ground.redis.start();
  await expect.poll(async () => (await look().catch(() => undefined))?.agent, { timeout: 10_000 }).toBe('demo');
});
