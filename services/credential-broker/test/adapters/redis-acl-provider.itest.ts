import { setTimeout as sleep } from 'node:timers/promises';
import type { CredentialOf } from '@agentgate/contracts';
import { type PlainRedis, startPlainRedis } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRedisAclProvider } from '../../src/adapters/redis-acl-provider.ts';
import type { Provider } from '../../src/provider.ts';
import { eventually, leaseOf, orderOf, testSecrets } from '../orders.ts';

let server: PlainRedis;
let admin: Redis;
const secrets = testSecrets();

const config: CredentialOf<'redis-acl'> = {
  provider: 'redis-acl',
  admin: { env: 'ADMIN' },
  rules: [
    { scope: 'read', keys: ['crm:{tenant}:*'], channels: [], commands: ['get', 'mget', '@connection'] },
    { scope: 'queue', keys: ['jobs:{agent}'], channels: ['done:{agent}'], commands: ['lpush', 'publish'] },
  ],
  ttl_s: 60,
  reuse: 'call',
  max_leases: 100,
};
const providers: Provider[] = [];
const providerOf = (url = server.url): Provider => {
  const provider = createRedisAclProvider({
    credential: 'cache',
    config,
    read: async () => url,
    secrets,
  });
  providers.push(provider);
  return provider;
};
const opened: Redis[] = [];
const login = async (url: string): Promise<Redis> => {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    disableClientInfo: true,
  });
  redis.on('error', () => {});
  opened.push(redis);
  await redis.connect();
  return redis;
};

const connections = async (): Promise<string[]> =>
  String(await admin.call('CLIENT', 'LIST'))
    .trim()
    .split('\n');

beforeAll(async () => {
  server = await startPlainRedis(['--enable-debug-command', 'yes']);
  admin = await login(server.url);
  await admin.set('crm:default:1', 'mine');
  await admin.set('crm:other:1', 'theirs');
});
afterAll(async () => {
  for (const redis of opened) redis.disconnect();
  for (const provider of providers) await provider.close();
  await server?.stop();
});

describe('a lease', () => {
  test('allows what its scope covers; everything else is refused by Redis itself', async () => {
    const order = orderOf({ scope: 'read' });
    const { parts, hidden } = await providerOf().mint(order);
    const redis = await login(parts.url ?? '');
    expect(await redis.get('crm:default:1')).toBe('mine');
    for (const command of [
      ['get', 'crm:other:1'],
      ['set', 'crm:default:1', 'x'],
      ['lpush', 'jobs:demo', 'x'],
      ['publish', 'done:demo', 'x'],
      ['keys', '*'],
      ['acl', 'list'],
      ['acl', 'setuser', 'me', 'on'],
      ['config', 'get', '*'],
      ['flushall'],
      ['eval', 'return 1', '0'],
    ])
      await expect(redis.call(...(command as [string])), command.join(' ')).rejects.toThrow(/NOPERM/);
    expect(hidden).toEqual(['secret', 'url', 'password']);
    await providerOf().revoke(leaseOf(order));
  });

  test('of two rules allows each by itself, and no mixture of them', async () => {
    const order = orderOf();
    const { parts } = await providerOf().mint(order);
    const redis = await login(parts.url ?? '');
    expect(await redis.lpush('jobs:demo', 'x')).toBe(1);
    expect(await redis.publish('done:demo', 'x')).toBe(0);
    await expect(redis.get('jobs:demo')).rejects.toThrow(/NOPERM/);
    await expect(redis.lpush('crm:default:2', 'x')).rejects.toThrow(/NOPERM/);
    await providerOf().revoke(leaseOf(order));
  });

  test('ends by revocation: an open connection is closed and a login refused', async () => {
    const order = orderOf({ scope: 'read' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const redis = await login(parts.url ?? '');
    await redis.get('crm:default:1');
    expect(await provider.probe(leaseOf(order))).toEqual({ state: 'alive', detail: 'login taken, 1 connections' });
    await provider.revoke(leaseOf(order));
    await eventually(async () => expect(redis.status).toBe('end'));
    expect(await provider.probe(leaseOf(order))).toEqual({ state: 'refused', detail: 'login refused, 0 connections' });
    await expect(login(parts.url ?? '')).rejects.toThrow();
  });

  test('made anew for the same permit, it has no rights of before', async () => {
    const order = orderOf({ scope: 'read' });
    await providerOf().mint({ ...order, scope: 'queue' });
    const { parts } = await providerOf().mint(order);
    await expect((await login(parts.url ?? '')).lpush('jobs:demo', 'x')).rejects.toThrow(/NOPERM/);
    await providerOf().revoke(leaseOf(order));
  });
});

describe('ending', () => {
  test('of many that are tried at once, those that live on are told apart from those that are gone', async () => {
    const provider = providerOf();
    const orders = Array.from({ length: 20 }, () => orderOf({ scope: 'queue' }));
    const lives = (i: number) => i % 2 === 0;
    const probeAll = (everyMs = 0) =>
      Promise.all(
        orders.map(async (order, i) => {
          await sleep(i * everyMs);
          return provider.probe(leaseOf(order));
        }),
      );
    for (const order of orders) await provider.mint(order);
    await Promise.all(orders.map((order, i) => (lives(i) ? undefined : provider.revoke(leaseOf(order)))));
    // At one moment, and while the connection where an earlier one got in is being left for another.
    for (const everyMs of [0, 0.1, 0.2, 0.5, 1])
      expect((await probeAll(everyMs)).map(({ state }) => state)).toEqual(
        orders.map((_, i) => (lives(i) ? 'alive' : 'refused')),
      );
    await Promise.all(orders.map((order) => provider.revoke(leaseOf(order))));
    for (const { detail } of await probeAll()) expect(detail).toBe('login refused, 0 connections');
  });

  test('many are proven at the same moment, over a connection that was idle and has little room for answers', async () => {
    const provider = providerOf();
    const orders = Array.from({ length: 60 }, () => orderOf({ scope: 'queue' }));
    await provider.probe(leaseOf(orderOf()));
    await expect
      .poll(async () => String(await admin.call('CLIENT', 'LIST')), { timeout: 15_000 })
      .toMatch(/ rbs=1024 .*cmd=auth/);
    let isProven = false;
    // Redis answers all that came meanwhile at once.
    const stutter = async () => {
      while (!isProven) await admin.call('DEBUG', 'SLEEP', '0.02');
    };
    const stuttering = stutter();
    try {
      for (let round = 0; round < 8; round++)
        for (const { detail } of await Promise.all(orders.map((order) => provider.probe(leaseOf(order)))))
          expect(detail).toBe('login refused, 0 connections');
    } finally {
      isProven = true;
      await stuttering;
    }
  }, 20_000);

  test('where one that still lives is tried and ended at once, those beside it are proven all the same', async () => {
    const provider = providerOf();
    const gone = Array.from({ length: 30 }, () => orderOf({ scope: 'queue' }));
    for (let round = 0; round < 150; round++) {
      const lives = orderOf({ scope: 'queue' });
      await provider.mint(lives);
      const tried = provider.probe(leaseOf(lives)).catch(() => {});
      const beside = Promise.allSettled(
        gone.map(async (order, i) => {
          await sleep(i * 0.05);
          return provider.probe(leaseOf(order));
        }),
      );
      await sleep(Math.random() * 3);
      // Redis ends the connection where it got in, with all that is under way on it.
      await provider.revoke(leaseOf(lives));
      await tried;
      for (const proof of await beside)
        expect(proof).toMatchObject({ value: { state: 'refused', detail: 'login refused, 0 connections' } });
    }
  }, 20_000);

  test('of more than are tried at once, none is tried once the provider is closed, and no connection stays', async () => {
    const provider = providerOf();
    await provider.probe(leaseOf(orderOf()));
    const before = await connections();
    const probes = Array.from({ length: 60 }, () => provider.probe(leaseOf(orderOf())));
    const settled = Promise.allSettled(probes);
    await Promise.race(probes);
    await provider.close();
    const refused = (await settled).filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(40);
    await eventually(async () => expect(await connections()).toHaveLength(before.length - 2));
    await expect(provider.probe(leaseOf(orderOf()))).rejects.toThrow('credential cache is closed');
  });

  test('twice, and what was never made, end well', async () => {
    const order = orderOf({ scope: 'read' });
    const provider = providerOf();
    await provider.mint(order);
    await provider.revoke(leaseOf(order));
    await provider.revoke(leaseOf(order));
    await provider.revoke(leaseOf(orderOf()));
    expect(await provider.probe(leaseOf(order))).toMatchObject({ state: 'refused' });
  });

  test('needs no handle: another broker with the same key finds and ends what a dead one made', async () => {
    const order = orderOf({ scope: 'read' });
    await providerOf().mint(order);
    const successor = providerOf();
    expect(await successor.list?.()).toEqual({ complete: true, permits: [order.permit] });
    await successor.revoke(leaseOf(order));
    expect(await successor.list?.()).toEqual({ complete: true, permits: [] });
  });
});

describe('when something is wrong', () => {
  test.each([
    ['is down', () => 'redis://default:admin-password-0123@127.0.0.1:1'],
    ['does not take the administrator', () => server.url.replace('administrator', 'wrong-password')],
  ])('Redis %s: nothing is made or called ended', async (_, url) => {
    const provider = providerOf(url());
    for (const work of [
      () => provider.mint(orderOf({ scope: 'read' })),
      () => provider.revoke(leaseOf(orderOf())),
      () => provider.probe(leaseOf(orderOf())),
      () => provider.list?.(),
    ]) {
      const error = await Promise.resolve(work()).then(
        () => undefined,
        (e: Error) => e,
      );
      expect(error).toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
      expect(`${error?.stack} ${JSON.stringify(error)} ${String(error?.cause)}`).not.toMatch(
        /password-0123|0123456789/,
      );
    }
  });

  test('Redis was restarted: the next lease finds it again, and those of before are known to be gone', async () => {
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    await provider.mint(order);
    await server.program.stop();
    await expect(provider.probe(leaseOf(order))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    await server.program.start();
    expect(await eventually(async () => provider.list?.())).toEqual({ complete: true, permits: [] });
    const next = orderOf({ scope: 'read' });
    await provider.mint(next);
    await provider.revoke(leaseOf(next));
  });

  test.each(['*', 'a b', 'x) +@all (', '~*'])(
    'a name that could mean more than itself is refused: %s',
    async (tenant) => {
      await expect(providerOf().mint(orderOf({ tenant }))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    },
  );
});
