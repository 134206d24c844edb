import { connectBus, createCurveKey } from '@agentgate/bus';
import { buckets, type LeaseAnswer, type LeaseRecord, leaseKey, leaseRecord } from '@agentgate/contracts';
import { nameInCreds } from '@agentgate/ground/jwt';
import { type PlainRedis, startPlainRedis } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, secrets, startNeighbours } from './ground.ts';
import { audience, type OidcServer, startOidcServer } from './oidc-server.ts';
import { eventually } from './orders.ts';

// Leases that nobody gives back, at providers that know no end of their own or a later one; and a broker whose clock is wrong.

let redis: PlainRedis;
let idp: OidcServer;
let near: Neighbours;
let broker: BrokerProcess;
let environment: Record<string, string>;
const closing: (() => unknown)[] = [];
const ttl = { ttl_s: 5 };

beforeAll(async () => {
  [redis, idp] = await Promise.all([startPlainRedis(), startOidcServer()]);
  near = await startNeighbours((natsUrl) =>
    JSON.stringify({
      v: 1,
      tenants: { default: { agents: { demo: {} } } },
      credentials: {
        cache: {
          provider: 'redis-acl',
          admin: { env: 'REDIS_ADMIN' },
          rules: [{ keys: ['a:*'], commands: ['get'] }],
          ...ttl,
        },
        lasting: {
          provider: 'redis-acl',
          admin: { env: 'REDIS_ADMIN' },
          rules: [{ keys: ['a:*'], commands: ['get'] }],
          ttl_s: 600,
        },
        bus: {
          provider: 'nats-user',
          servers: natsUrl,
          account: { env: 'NATS_ACCOUNT' },
          operator: { env: 'NATS_OPERATOR' },
          system: { env: 'NATS_SYSTEM' },
          rules: [{ publish: ['a.>'] }],
          ...ttl,
        },
        api: {
          provider: 'oauth-client-credentials',
          issuer: idp.issuer,
          client: { id: idp.client.id, secret: { env: 'OIDC_SECRET' } },
          resource: audience,
          scope: 'orders:read',
          ...ttl,
        },
        fixed: { provider: 'static', from: { env: 'CRM_SECRET' } },
        token: { provider: 'jwt', audience: 'https://api.test', ...ttl },
      },
    }),
  );
  const { seeds } = near.ground.deployment;
  environment = {
    REDIS_ADMIN: redis.url,
    OIDC_SECRET: idp.client.secret,
    CRM_SECRET: secrets.env,
    NATS_ACCOUNT: seeds.tenant('default'),
    NATS_OPERATOR: seeds.operator,
    NATS_SYSTEM: await near.ground.mintUser({
      account: 'SYS',
      user: 'sys',
      pub: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP', '$SYS.REQ.ACCOUNT.*.CONNZ'],
      sub: ['_INBOX_sys.>'],
    }),
  };
  broker = await startBroker(near.ground, environment);
}, 60_000);
afterAll(async () => {
  for (const close of closing) await close();
  await broker?.kill('SIGKILL');
  await near?.stop();
  await Promise.all([redis?.stop(), idp?.close()]);
});

const recordOf = async ({ permit }: LeaseAnswer): Promise<LeaseRecord> => {
  const user = await near.ground.connect('credential-broker', { instance: 'test' });
  const entry = await user.bucket(buckets.leases).get(leaseKey(permit));
  await user.close();
  return leaseRecord.parse(JSON.parse(new TextDecoder().decode(entry?.value)));
};
const openRedis = async ({ user = '', password = '' }: Record<string, string>) => {
  const session = new Redis(redis.port, '127.0.0.1', {
    username: user,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
    disableClientInfo: true,
  });
  session.on('error', () => {});
  closing.push(() => session.disconnect());
  await session.connect();
  await session.get('a:1');
  return () => session.status === 'ready';
};

/** How a tool uses each, and whether it still can. */
const uses: Record<string, (parts: Record<string, string>) => Promise<() => boolean | Promise<boolean>>> = {
  cache: openRedis,
  bus: async ({ creds = '' }) => {
    const user = await nameInCreds(creds);
    const session = await connectBus({
      servers: near.ground.natsUrl,
      creds,
      user,
      instance: 'a-tool',
      timeoutMs: 1_000,
    });
    closing.push(() => session.close().catch(() => {}));
    return () => session.connected();
  },
  api: async ({ secret = '' }) => {
    const active = async () => (await idp.introspect(secret)).active === true;
    if (!(await active())) throw new Error('it is not active');
    return active;
  },
};

describe.each(Object.entries(uses))('a lease of %s', (credential, use) => {
  test('that nobody gives back ends at its time: an open session dies, a new one is refused, evidence says expired', async () => {
    const answer = await near.lease(near.ask(credential), 5_000);
    const parts = near.partsIn(answer);
    const lives = await use(parts);
    expect(Date.parse(answer.expires_at) - Date.now()).toBeLessThanOrEqual(5_000);
    await eventually(
      async () => expect(await recordOf(answer)).toMatchObject({ state: 'expired', proof: 'refused' }),
      15_000,
    );
    await eventually(async () => expect(await lives()).toBe(false));
    await expect(use(parts)).rejects.toThrow();
  }, 30_000);
});

test.each(['cache', 'bus', 'api', 'fixed', 'token'])(
  'the answer with a lease of %s is nothing to another runner, and its permit is used up',
  async (credential) => {
    const ask = near.ask(credential);
    const answer = await near.lease(ask, 5_000);
    const other = createCurveKey();
    expect(() => other.open(Buffer.from(answer.sealed ?? '', 'base64'), answer.broker_key)).toThrow();
    const replayed = near.ask(credential, ask.permit.claims, other.publicKey);
    await expect(near.lease(replayed, 5_000)).rejects.toMatchObject({
      code: 'POLICY_DENIED',
      message: 'permit: was used for a lease already',
    });
    await expect(near.lease({ ...ask, seal_to: other.publicKey }, 5_000)).rejects.toMatchObject({
      code: 'RUNNER_UNAVAILABLE',
    });
    await near.release(answer, ask, 5_000);
  },
);

/** A module that moves a process's clock. */
const shifted = (offMs: number): string => {
  const text = `const Real = Date; globalThis.Date = class extends Real {
    constructor(...given) { if (given.length === 0) super(Real.now() + ${offMs}); else super(...given); }
    static now() { return Real.now() + ${offMs}; }
  };`;
  return `data:text/javascript,${encodeURIComponent(text)}`;
};

test.each([
  ['five minutes ahead', 300_000, /the deadline of the call has passed|permit: it has expired/],
  ['five minutes behind', -300_000, /permit: it is not valid yet/],
])(
  'a broker whose clock is %s gives no lease of any provider, and ends what was given before',
  async (_, offMs, message) => {
    const before = near.ask('lasting');
    const answer = await near.lease(before, 5_000);
    const lives = await openRedis(near.partsIn(answer));
    await broker.kill('SIGKILL');
    const wrong = { ...environment, NODE_OPTIONS: `--import=${shifted(offMs)}` };
    broker = await startBroker(near.ground, wrong, undefined, 'healthz');
    await eventually(async () => expect(broker.output()).toContain('"msg":"ready"'), 15_000);
    for (const credential of ['cache', 'bus', 'api', 'fixed', 'token']) {
      const refused = await near.lease(near.ask(credential), 5_000).catch((error: unknown) => error);
      expect(refused, credential).toMatchObject({ message: expect.stringMatching(message) });
    }
    await near.release(answer, before, 5_000);
    await eventually(async () => expect(lives()).toBe(false));
    await broker.kill('SIGKILL');
    broker = await startBroker(near.ground, environment);
  },
  60_000,
);
