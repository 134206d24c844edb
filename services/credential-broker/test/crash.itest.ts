import { readFileSync, writeFileSync } from 'node:fs';
import { type Bus, connectBus } from '@agentgate/bus';
import { buckets, type LeaseAnswer, type LeaseAsk, leaseKey, leaseRecord } from '@agentgate/contracts';
import { type PlainRedis, type Postgres, startPlainRedis, startPostgres } from '@agentgate/testkit';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLeaseSecrets, type LeaseSecrets } from '../src/secrets.ts';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, startNeighbours } from './ground.ts';
import { eventually } from './orders.ts';
import { startProxy, type WireProxy } from './proxy.ts';

// The broker is killed (SIGKILL) right before, and right after, each message that it sends on the way of a lease: to its records, to
// evidence, to the provider. Whatever it left, the next broker's sweep must end: no role or user, no session, no open record.

type Where = 'nats' | 'provider';
type Step = [name: string, during: 'lease' | 'release', where: Where, at: RegExp];
type Parts = Record<string, string>;

interface Backend {
  credential: 'postgres' | 'redis-acl' | 'nats-user';
  /** What the broker says to the provider on the way of a lease, and of its end. */
  making: Step[];
  ending: Step[];
  /** Opens a session with a lease; whether it still lives. */
  open(parts: Parts): Promise<() => boolean>;
  /** Whether a new session opens with it. */
  opens(parts: Parts): Promise<boolean>;
  /** What the provider still has of any lease. */
  left(): Promise<unknown[]>;
}

const toRecords = (state: string) => new RegExp(`\\$KV\\.LEASES[\\s\\S]*"state":"${state}"`);
const toEvidence = /H?PUB events\.v1\.credential-broker/;
const stepsOf = ({ making, ending }: Backend): Step[] => [
  ['the record of the intention', 'lease', 'nats', toRecords('intended')],
  ...making,
  ['the record that it is active', 'lease', 'nats', toRecords('active')],
  ['the evidence of its issue', 'lease', 'nats', toEvidence],
  ['the record that it is to end', 'release', 'nats', toRecords('revoking')],
  ...ending,
  ['the evidence of its end', 'release', 'nats', toEvidence],
  ['the record that it ended', 'release', 'nats', toRecords('revoked')],
];

/** Well before the runner would give up: nobody answers. */
const answerMs = 600;

let db: Postgres;
let redis: PlainRedis;
let admin: Redis;
let near: Neighbours;
let secrets: LeaseSecrets;
const proxies: WireProxy[] = [];
const environment: Record<string, string> = {};
const closing: (() => unknown)[] = [];

/** What is to happen when the armed pattern passes. */
const trap: { at: RegExp; where: Where; forward: boolean; kill: () => void; sprung: boolean } = {
  at: /$^x/,
  where: 'nats',
  forward: true,
  kill: () => {},
  sprung: true,
};
const tap = (where: Where) => (chunk: Buffer) => {
  if (trap.sprung) return trap.where !== where || trap.forward;
  if (where !== trap.where || !trap.at.test(chunk.toString('latin1'))) return true;
  trap.sprung = true;
  if (!trap.forward) trap.kill();
  else setImmediate(trap.kill);
  return trap.forward;
};
const proxyTo = async (port: number): Promise<number> => {
  const proxy = await startProxy(port, tap('provider'));
  proxies.push(proxy);
  return proxy.port;
};

const postgres: Backend = {
  credential: 'postgres',
  making: [
    ['the beginning of the role', 'lease', 'provider', /BEGIN/],
    ['the role', 'lease', 'provider', /CREATE ROLE/],
    ['its grants', 'lease', 'provider', /GRANT SELECT/],
    ['its commit', 'lease', 'provider', /COMMIT/],
  ],
  ending: [
    ['the refusal of logins', 'release', 'provider', /NOLOGIN/],
    ['the end of its sessions', 'release', 'provider', /pg_terminate_backend/],
    ['the drop of its grants', 'release', 'provider', /DROP OWNED/],
    ['the drop of the role', 'release', 'provider', /DROP ROLE/],
    ['the try of its use', 'release', 'provider', /pg_stat_activity WHERE/],
  ],
  open: async ({ host = '', user, password, database }) => {
    const session = new pg.Client({ host, port: db.port, user, password, database } as pg.ClientConfig);
    let lives = true;
    session.on('error', () => {});
    session.on('end', () => {
      lives = false;
    });
    await session.connect();
    closing.push(() => session.end().catch(() => {}));
    return () => lives;
  },
  opens: async (parts) => (await postgres.open(parts))(),
  left: () =>
    db.run(
      "SELECT rolname FROM pg_roles WHERE rolname LIKE 'ag\\_%' UNION SELECT usename FROM pg_stat_activity WHERE usename LIKE 'ag\\_%'",
    ),
};

const redisAcl: Backend = {
  credential: 'redis-acl',
  making: [['the user', 'lease', 'provider', /SETUSER/]],
  ending: [
    ['the end of the user', 'release', 'provider', /DELUSER/],
    ['the look at its connections', 'release', 'provider', /CLIENT[\s\S]*LIST/],
    ['the try of its use', 'release', 'provider', /auth\r\n/i],
  ],
  open: async ({ user = '', password = '' }) => {
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
  },
  opens: async (parts) => (await redisAcl.open(parts))(),
  left: async () => ((await admin.call('ACL', 'USERS')) as string[]).filter((user) => secrets.permitOf(user)),
};

const natsUser: Backend = {
  credential: 'nats-user',
  // It is made by signing it: nobody is told.
  making: [],
  ending: [
    ['the look at the account', 'release', 'provider', /CLAIMS\.LOOKUP/],
    ['the revocation', 'release', 'provider', /CLAIMS\.UPDATE/],
    ['the look at its connections', 'release', 'provider', /CONNZ/],
  ],
  open: async ({ creds = '', user = '' }) => {
    const session: Bus = await connectBus({
      servers: near.ground.natsUrl,
      creds,
      user,
      instance: 'a-tool',
      timeoutMs: 1_000,
    });
    closing.push(() => session.close().catch(() => {}));
    return () => session.connected();
  },
  opens: async (parts) => (await natsUser.open(parts))(),
  // What there is of a user is its connections; the sessions above look at them.
  left: async () => [],
};

beforeAll(async () => {
  [db, redis] = await Promise.all([startPostgres(), startPlainRedis()]);
  await db.run('CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)');
  admin = new Redis(redis.url);
  near = await startNeighbours(JSON.stringify({ v: 1, tenants: { default: { agents: { demo: {} } } } }));
  const { seeds, keys } = near.ground.deployment;
  secrets = createLeaseSecrets(Buffer.from(readFileSync(keys.brokerKeyFile, 'utf8').trim(), 'base64url'));
  const [dbPort, redisPort, natsPort] = await Promise.all(
    [db.port, redis.port, Number(new URL(near.ground.natsUrl).port)].map(proxyTo),
  );
  const lasting = { ttl_s: 600 };
  writeFileSync(
    near.ground.configFile,
    JSON.stringify({
      v: 1,
      tenants: { default: { agents: { demo: {} } } },
      credentials: {
        postgres: {
          provider: 'postgres',
          admin: { env: 'PG_ADMIN' },
          rules: [{ schema: 'shop', tables: ['orders'], privileges: ['select'] }],
          ...lasting,
        },
        'redis-acl': {
          provider: 'redis-acl',
          admin: { env: 'REDIS_ADMIN' },
          rules: [{ keys: ['a:*'], commands: ['get'] }],
          ...lasting,
        },
        'nats-user': {
          provider: 'nats-user',
          servers: `nats://127.0.0.1:${natsPort}`,
          account: { env: 'NATS_ACCOUNT' },
          operator: { env: 'NATS_OPERATOR' },
          system: { env: 'NATS_SYSTEM' },
          rules: [{ publish: ['a.>'] }],
          ...lasting,
        },
      },
    }),
  );
  Object.assign(environment, {
    PG_ADMIN: db.url.replace(String(db.port), String(dbPort)),
    REDIS_ADMIN: redis.url.replace(String(redis.port), String(redisPort)),
    NATS_ACCOUNT: seeds.tenant('default'),
    NATS_OPERATOR: seeds.operator,
    NATS_SYSTEM: await near.ground.mintUser({
      account: 'SYS',
      user: 'sys',
      pub: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP', '$SYS.REQ.ACCOUNT.*.CONNZ'],
      sub: ['_INBOX_sys.>'],
    }),
  });
}, 60_000);
afterAll(async () => {
  for (const close of closing) await close();
  admin?.disconnect();
  for (const proxy of proxies) proxy.close();
  await near?.stop();
  await Promise.all([db?.stop(), redis?.stop()]);
});

const start = (): Promise<BrokerProcess> => startBroker(near.ground, environment, tap('nats'));
const partsOf = (answer: LeaseAnswer): Parts => ({
  user: secrets.nameOf(answer.permit),
  ...near.partsIn(answer),
});

describe.each([postgres, redisAcl, natsUser])('with a $credential lease', (backend) => {
  const asked: LeaseAsk[] = [];
  const given: Parts[] = [];
  const sessions: (() => boolean)[] = [];
  const steps = stepsOf(backend);

  const dieAt = async (during: 'lease' | 'release', where: Where, at: RegExp, forward: boolean) => {
    trap.forward = true;
    const broker = await start();
    const arm = () => {
      Object.assign(trap, { at, where, forward, kill: () => void broker.kill('SIGKILL'), sprung: false });
    };
    const newAsk = () => {
      const ask = near.ask(backend.credential);
      asked.push(ask);
      return ask;
    };
    // A busy machine may take longer over a lease than a call is made to wait.
    if (during === 'lease') {
      arm();
      let told: unknown;
      for (let tries = 0; tries < 3 && !trap.sprung; tries++)
        told = await near.lease(newAsk(), answerMs).catch((error: unknown) => error);
      expect(told).toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    } else {
      const lease = async () => {
        const ask = newAsk();
        return { ask, answer: await near.lease(ask, 5_000) };
      };
      const { ask, answer } = await lease().catch(lease).catch(lease);
      given.push(partsOf(answer));
      sessions.push(await backend.open(partsOf(answer)));
      arm();
      await near.release(answer, ask, answerMs).catch(() => {});
    }
    await broker.exited;
    expect(trap.sprung, 'the message that it was to die at was never sent').toBe(true);
  };

  test.each(
    steps.flatMap(([name, ...step]) => [[name, 'before', ...step] as const, [name, 'after', ...step] as const]),
  )(
    'it dies at %s, %s it is sent',
    async (_, when, during, where, at) => {
      await dieAt(during, where, at, when === 'after');
    },
    20_000,
  );

  test('then a new broker leaves nothing of all that alive: no role or user, no session, no open record', async () => {
    trap.forward = true;
    const broker = await start();
    const user = await near.ground.connect('credential-broker', { instance: 'test' });
    await eventually(async () => {
      expect(await backend.left()).toEqual([]);
      expect(sessions.filter((lives) => lives())).toEqual([]);
      for (const { permit } of asked) {
        const entry = await user.bucket(buckets.leases).get(leaseKey(permit.claims.id));
        if (!entry) continue;
        const { state } = leaseRecord.parse(JSON.parse(new TextDecoder().decode(entry.value)));
        expect(['revoked', 'expired'], permit.claims.id).toContain(state);
      }
    }, 60_000);
    for (const parts of given) expect(await backend.opens(parts).catch(() => false)).toBe(false);
    expect(asked.length).toBeGreaterThanOrEqual(steps.length * 2);
    expect(given).toHaveLength(steps.filter(([, during]) => during === 'release').length * 2);
    await user.close();
    await broker.kill('SIGKILL');
  }, 90_000);
});
