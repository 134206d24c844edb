import { buckets, leaseKey, leaseRecord } from '@agentgate/contracts';
import { type Postgres, startPostgres } from '@agentgate/testkit';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, startNeighbours } from './ground.ts';
import { eventually } from './orders.ts';
import { startProxy, type WireProxy } from './proxy.ts';

// The broker is killed (SIGKILL) right before, and right after, each message that it sends on the way of a lease: to its records, to
// evidence, to PostgreSQL. Whatever it left, the next broker's sweep must end: no role, no session, no open record.

/** What the message that it dies at looks like on the wire, of a lease and of its end. */
const steps: [string, 'lease' | 'release', 'nats' | 'postgres', RegExp][] = [
  ['the record of the intention', 'lease', 'nats', /\$KV\.LEASES[\s\S]*"state":"intended"/],
  ['the beginning of the role', 'lease', 'postgres', /BEGIN/],
  ['the role', 'lease', 'postgres', /CREATE ROLE/],
  ['its grants', 'lease', 'postgres', /GRANT SELECT/],
  ['its commit', 'lease', 'postgres', /COMMIT/],
  ['the record that it is active', 'lease', 'nats', /\$KV\.LEASES[\s\S]*"state":"active"/],
  [
    'the evidence of its issue',
    'lease',
    'nats',
    /PUB events\.v1\.credential-broker|HPUB events\.v1\.credential-broker/,
  ],
  ['the record that it is to end', 'release', 'nats', /\$KV\.LEASES[\s\S]*"state":"revoking"/],
  ['the refusal of logins', 'release', 'postgres', /NOLOGIN/],
  ['the end of its sessions', 'release', 'postgres', /pg_terminate_backend/],
  ['the drop of its grants', 'release', 'postgres', /DROP OWNED/],
  ['the drop of the role', 'release', 'postgres', /DROP ROLE/],
  ['the try of its use', 'release', 'postgres', /pg_stat_activity WHERE/],
  [
    'the evidence of its end',
    'release',
    'nats',
    /PUB events\.v1\.credential-broker|HPUB events\.v1\.credential-broker/,
  ],
  ['the record that it ended', 'release', 'nats', /\$KV\.LEASES[\s\S]*"state":"revoked"/],
];

/** Well before the runner would give up: nobody answers. */
const answerMs = 600;

let db: Postgres;
let near: Neighbours;
let proxy: WireProxy;
const permits: string[] = [];
const sessions: pg.Client[] = [];

/** What is to happen when the armed pattern passes. */
const trap: { at: RegExp; where: 'nats' | 'postgres'; forward: boolean; kill: () => void; sprung: boolean } = {
  at: /$^x/,
  where: 'nats',
  forward: true,
  kill: () => {},
  sprung: true,
};
const tap = (where: 'nats' | 'postgres') => (chunk: Buffer) => {
  if (trap.sprung) return trap.where !== where || trap.forward;
  if (where !== trap.where || !trap.at.test(chunk.toString('latin1'))) return true;
  trap.sprung = true;
  if (!trap.forward) trap.kill();
  else setImmediate(trap.kill);
  return trap.forward;
};

beforeAll(async () => {
  db = await startPostgres();
  await db.run('CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)');
  proxy = await startProxy(db.port, tap('postgres'));
  const admin = db.url.replace(String(db.port), String(proxy.port));
  near = await startNeighbours(
    JSON.stringify({
      v: 1,
      tenants: { default: { agents: { demo: {} } } },
      credentials: {
        db: {
          provider: 'postgres',
          admin: { env: 'PG_ADMIN' },
          rules: [{ schema: 'shop', tables: ['orders'], privileges: ['select'] }],
          ttl_s: 600,
        },
      },
    }),
  );
  process.env.PG_ADMIN = admin;
}, 60_000);
afterAll(async () => {
  for (const session of sessions) await session.end().catch(() => {});
  proxy?.close();
  await near?.stop();
  await db?.stop();
});

const start = (): Promise<BrokerProcess> =>
  startBroker(near.ground, { PG_ADMIN: process.env.PG_ADMIN ?? '' }, tap('nats'));

const dieAt = async (during: 'lease' | 'release', where: 'nats' | 'postgres', at: RegExp, forward: boolean) => {
  trap.forward = true;
  const broker = await start();
  const arm = () => {
    Object.assign(trap, { at, where, forward, kill: () => void broker.kill('SIGKILL'), sprung: false });
  };
  const ask = near.ask('db');
  permits.push(ask.permit.claims.id);
  if (during === 'lease') arm();
  const leasing = near.lease(ask, during === 'lease' ? answerMs : undefined);
  if (during === 'lease') {
    await expect(leasing).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  } else {
    const answer = await leasing;
    const session = new pg.Client({
      connectionString: near.partsIn(answer).url?.replace(String(proxy.port), String(db.port)) ?? '',
    });
    session.on('error', () => {});
    sessions.push(session);
    await session.connect();
    arm();
    await near.release(answer, ask, answerMs).catch(() => {});
  }
  await broker.exited;
  expect(trap.sprung, 'the message that it was to die at was never sent').toBe(true);
};

test.each(steps.flatMap(([name, ...step]) => [[name, 'before', ...step] as const, [name, 'after', ...step] as const]))(
  'it dies at %s, %s it is sent',
  async (_, when, during, where, at) => {
    await dieAt(during, where, at, when === 'after');
  },
  20_000,
);

test('then a new broker leaves nothing of all that alive: no role, no session, no open record', async () => {
  trap.forward = true;
  const broker = await start();
  const user = await near.ground.connect('credential-broker', { instance: 'test' });
  await eventually(async () => {
    expect(await db.run("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ag\\_%'")).toEqual([]);
    expect(await db.run("SELECT usename FROM pg_stat_activity WHERE usename LIKE 'ag\\_%'")).toEqual([]);
    for (const permit of permits) {
      const entry = await user.bucket(buckets.leases).get(leaseKey(permit));
      if (!entry) continue;
      const { state } = leaseRecord.parse(JSON.parse(new TextDecoder().decode(entry.value)));
      expect(['revoked', 'expired'], permit).toContain(state);
    }
  }, 60_000);
  expect(permits).toHaveLength(steps.length * 2);
  await broker.kill('SIGKILL');
}, 90_000);
