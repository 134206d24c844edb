import { buckets, type LeaseRecord, leaseKey, leaseRecord } from '@agentgate/contracts';
import { type Postgres, startPostgres } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, startNeighbours } from './ground.ts';
import { eventually } from './orders.ts';
import { startProxy, type WireProxy } from './proxy.ts';

// A broker is frozen (SIGSTOP) in the middle of making a role; a kill comes, and another broker ends the lease, which is not there yet. Then
// the frozen one wakes, and the database makes what it was told to make.

let db: Postgres;
let near: Neighbours;
let proxy: WireProxy;
const brokers: BrokerProcess[] = [];
let freeze = () => {};

beforeAll(async () => {
  db = await startPostgres();
  await db.run('CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)');
  proxy = await startProxy(db.port, (chunk) => {
    // The role is made and its grants are on their way; what is left is the commit.
    if (chunk.toString('latin1').includes('GRANT SELECT')) freeze();
    return true;
  });
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
}, 60_000);
afterAll(async () => {
  for (const { pid, kill } of brokers) {
    process.kill(pid, 'SIGCONT');
    await kill('SIGKILL');
  }
  proxy?.close();
  await near?.stop();
  await db?.stop();
});

const start = async (port: number): Promise<BrokerProcess> => {
  const broker = await startBroker(near.ground, { PG_ADMIN: db.url.replace(String(db.port), String(port)) });
  brokers.push(broker);
  return broker;
};
const roles = async () =>
  (await db.run("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ag\\_%'")).map(({ rolname }) => String(rolname));

test('what a frozen broker makes after its lease was killed is ended as soon as it wakes', async () => {
  const frozen = await start(proxy.port);
  const ask = near.ask('db');
  const { id, session } = ask.permit.claims;
  const stopped = Promise.withResolvers<void>();
  freeze = () => {
    freeze = () => {};
    process.kill(frozen.pid, 'SIGSTOP');
    stopped.resolve();
  };
  await expect(near.lease(ask, 600)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  await stopped.promise;

  await start(db.port);
  const user = await near.ground.connect('credential-broker', { instance: 'test' });
  const record = async (): Promise<LeaseRecord> =>
    leaseRecord.parse(
      JSON.parse(new TextDecoder().decode((await user.bucket(buckets.leases).get(leaseKey(id)))?.value)),
    );
  await near.kill({ kind: 'session', id: session });
  await eventually(async () => expect(await record()).toMatchObject({ state: 'revoked', proof: 'refused' }), 15_000);
  expect(await roles()).toEqual([]);

  let seen = false;
  const watch = setInterval(() => void roles().then((now) => (seen ||= now.length > 0)), 5);
  process.kill(frozen.pid, 'SIGCONT');
  await eventually(async () => expect([seen, await roles()]).toEqual([true, []]), 15_000);
  clearInterval(watch);
  await eventually(async () => expect(await record()).toMatchObject({ state: 'revoked', proof: 'refused' }));
  await user.close();
}, 60_000);
