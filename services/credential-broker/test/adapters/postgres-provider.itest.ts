import { readFileSync } from 'node:fs';
import type { CredentialOf } from '@agentgate/contracts';
import { type Postgres, startPostgres } from '@agentgate/testkit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPostgresProvider } from '../../src/adapters/postgres-provider.ts';
import type { Provider } from '../../src/provider.ts';
import { eventually, leaseOf, orderOf, testSecrets } from '../orders.ts';

let db: Postgres;
let adminUrl: string;
const secrets = testSecrets();

const config: CredentialOf<'postgres'> = {
  provider: 'postgres',
  admin: { env: 'ADMIN' },
  rules: [
    { scope: 'read', schema: 'shop', tables: ['orders'], columns: ['id', 'total'], privileges: ['select'] },
    { scope: 'write', schema: 'shop', tables: ['orders'], privileges: ['select', 'insert', 'update'] },
    { scope: 'own', schema: 'shop', tables: ['notes_{agent}'], privileges: ['select'] },
  ],
  connections: 2,
  ttl_s: 60,
  reuse: 'call',
  max_leases: 100,
};
const providers: Provider[] = [];
const providerOf = (change: { url?: string; config?: Partial<CredentialOf<'postgres'>> } = {}): Provider => {
  const provider = createPostgresProvider({
    credential: 'db',
    config: { ...config, ...change.config },
    read: async () => change.url ?? adminUrl,
    secrets,
  });
  providers.push(provider);
  return provider;
};
const clients: pg.Client[] = [];
const login = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {});
  clients.push(client);
  await client.connect();
  return client;
};
const rolesLeft = async () =>
  (await db.run('SELECT rolname FROM pg_roles')).flatMap(({ rolname }) => secrets.permitOf(String(rolname)) ?? []);

beforeAll(async () => {
  db = await startPostgres();
  // Not a superuser: it may make roles, and owns what it grants.
  await db.run("CREATE ROLE broker LOGIN CREATEROLE PASSWORD 'broker-password-0123456789'");
  await db.run('CREATE SCHEMA shop AUTHORIZATION broker');
  await db.run('SET ROLE broker; CREATE TABLE shop.orders (id int, total int, card text)');
  await db.run(
    "SET ROLE broker; INSERT INTO shop.orders VALUES (1, 20, '4111'); CREATE TABLE shop.notes_demo (t text)",
  );
  await db.run('SET ROLE broker; CREATE TABLE shop.notes_other (t text)');
  adminUrl = `postgresql://broker:broker-password-0123456789@127.0.0.1:${db.port}/${db.database}`;
});
afterAll(async () => {
  for (const client of clients) await client.end().catch(() => {});
  for (const provider of providers) await provider.close();
  await db?.stop();
});

describe('a lease', () => {
  test('allows what its scope covers; everything else is refused by PostgreSQL itself', async () => {
    const order = orderOf({ scope: 'read own' });
    const provider = providerOf();
    const { parts, hidden } = await provider.mint(order);
    const client = await login(parts.url ?? '');
    expect((await client.query('SELECT id, total FROM shop.orders')).rows).toEqual([{ id: 1, total: 20 }]);
    expect((await client.query('SELECT t FROM shop.notes_demo')).rows).toEqual([]);
    for (const sql of [
      'SELECT card FROM shop.orders',
      'SELECT * FROM shop.orders',
      'INSERT INTO shop.orders VALUES (2, 1)',
      'DELETE FROM shop.orders',
      'SELECT t FROM shop.notes_other',
      'CREATE TABLE shop.mine (x int)',
      'CREATE ROLE another',
      'SET ROLE broker',
      `ALTER ROLE ${parts.user} VALID UNTIL 'infinity'`,
    ])
      await expect(client.query(sql), sql).rejects.toMatchObject({ code: expect.stringMatching(/^42501$|^42704$/) });
    expect(hidden).toEqual(['secret', 'url', 'password']);
    expect(parts).toMatchObject({ host: '127.0.0.1', port: String(db.port), database: db.database, secret: parts.url });
    await provider.revoke(leaseOf(order));
  });

  test('has as many connections as are configured', async () => {
    const order = orderOf({ scope: 'read' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    await login(parts.url ?? '');
    await login(parts.url ?? '');
    await expect(login(parts.url ?? '')).rejects.toMatchObject({ code: '53300' });
    await provider.revoke(leaseOf(order));
  });

  test('ends by revocation: an open session dies in the middle of its work, and a login is refused', async () => {
    const order = orderOf({ scope: 'write' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const client = await login(parts.url ?? '');
    const working = client.query('SELECT pg_sleep(20)').then(
      () => 'finished',
      (error: { code?: string }) => error.code ?? 'broken',
    );
    await eventually(async () =>
      expect(await db.run('SELECT 1 FROM pg_stat_activity WHERE usename = $1', [parts.user])).toHaveLength(1),
    );
    expect(await provider.probe(leaseOf(order))).toEqual({
      state: 'alive',
      detail: 'login taken, 1 sessions, the role is there',
    });
    await provider.revoke(leaseOf(order));
    expect(await working).toMatch(/57P01|broken/);
    await expect(login(parts.url ?? '')).rejects.toMatchObject({ code: '28P01' });
    expect(await provider.probe(leaseOf(order))).toEqual({
      state: 'refused',
      detail: 'login refused, 0 sessions, no role',
    });
    expect(await rolesLeft()).not.toContain(order.permit);
  });

  test('that changed its own password counts as alive until its role is gone', async () => {
    const order = orderOf({ scope: 'read' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const client = await login(parts.url ?? '');
    await client.query(`ALTER ROLE ${parts.user} PASSWORD 'of-my-own-0123456789'`);
    await client.end();
    expect(await provider.probe(leaseOf(order))).toMatchObject({
      state: 'alive',
      detail: expect.stringMatching(/refused.*is there/),
    });
    const mine = (parts.url ?? '').replace(parts.password ?? '', 'of-my-own-0123456789');
    await login(mine);
    await provider.revoke(leaseOf(order));
    expect(await provider.probe(leaseOf(order))).toMatchObject({ state: 'refused' });
    await expect(login(mine)).rejects.toMatchObject({ code: '28P01' });
  });

  test('ends though it made itself at home: what it owns goes with it', async () => {
    await db.run('GRANT CREATE ON SCHEMA shop TO PUBLIC');
    const order = orderOf({ scope: 'write' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const client = await login(parts.url ?? '');
    await client.query('CREATE TABLE shop.backdoor (x int); GRANT ALL ON shop.backdoor TO PUBLIC');
    await provider.revoke(leaseOf(order));
    expect(await rolesLeft()).not.toContain(order.permit);
    await db.run('REVOKE CREATE ON SCHEMA shop FROM PUBLIC');
  });

  test('ends though it owns something in another database', async () => {
    await (await login(db.url)).query('CREATE DATABASE elsewhere');
    const order = orderOf({ scope: 'read' });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const url = new URL(parts.url ?? '');
    url.pathname = '/elsewhere';
    await (await login(url.href)).query('SELECT lo_create(0)');
    await provider.revoke(leaseOf(order));
    expect(await provider.probe(leaseOf(order))).toEqual({
      state: 'refused',
      detail: 'login refused, 0 sessions, no role',
    });
  });

  test.each([-300_000, 300_000])("ends by the database's clock, whatever ours says (%i ms)", async (off) => {
    const at = Date.now() + off;
    const order = orderOf({ scope: 'read', issuedAt: at, expiresAt: at + 1_500 });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    await (await login(parts.url ?? '')).end();
    await eventually(async () => await expect(login(parts.url ?? '')).rejects.toMatchObject({ code: '28P01' }), 4_000);
    await provider.revoke(leaseOf(order));
  });

  test('is prolonged without a new secret', async () => {
    const order = orderOf({ scope: 'read', expiresAt: Date.now() + 800 });
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    expect(await provider.renew?.({ ...order, expiresAt: order.issuedAt + 60_000 }, undefined)).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await (await login(parts.url ?? '')).end();
    await provider.revoke(leaseOf(order));
  });
});

describe('ending', () => {
  test('twice, at the same time by two brokers, and what was never made, all end well', async () => {
    const order = orderOf({ scope: 'read' });
    const [one, two] = [providerOf(), providerOf()];
    await one.mint(order);
    const ends = [one, two].map((provider) => provider.revoke(leaseOf(order)).catch(() => 'refused'));
    await Promise.all(ends);
    await one.revoke(leaseOf(order));
    await one.revoke(leaseOf(orderOf()));
    expect(await one.probe(leaseOf(order))).toMatchObject({ state: 'refused' });
  });

  test('of many at once, made and ended by two brokers, fails none', async () => {
    const [one, two] = [providerOf(), providerOf()];
    const of = (i: number) => (i % 2 ? one : two);
    const orders = Array.from({ length: 40 }, () => orderOf({ scope: 'read' }));
    await Promise.all(orders.map((order, i) => of(i).mint(order)));
    await Promise.all(orders.map((order, i) => of(i + 1).revoke(leaseOf(order))));
    const left = await rolesLeft();
    expect(orders.filter(({ permit }) => left.includes(permit))).toEqual([]);
  });

  test('needs no handle: another broker with the same key ends what a dead one made', async () => {
    const order = orderOf({ scope: 'read' });
    await providerOf().mint(order);
    const successor = providerOf();
    expect(await successor.list?.()).toMatchObject({ complete: true, permits: expect.arrayContaining([order.permit]) });
    await successor.revoke(leaseOf(order));
    expect((await successor.list?.())?.permits).not.toContain(order.permit);
  });

  test('lists only what is of this deployment', async () => {
    const order = orderOf({ scope: 'read' });
    const foreign = createPostgresProvider({
      credential: 'db',
      config,
      read: async () => adminUrl,
      secrets: testSecrets(8),
    });
    providers.push(foreign);
    await foreign.mint(order);
    expect((await providerOf().list?.())?.permits).not.toContain(order.permit);
    await foreign.revoke(leaseOf(order));
  });
});

describe('when something is wrong', () => {
  test.each([
    ['is down', 'postgresql://x:admin-password-0123@127.0.0.1:1/postgres'],
    ['does not take the administrator', 'PASSWORD'],
  ])('PostgreSQL %s: nothing is made or called ended', async (_, url) => {
    const provider = providerOf({
      url: url === 'PASSWORD' ? adminUrl.replace('broker-password', 'wrong-password') : url,
    });
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
      expect(`${error?.stack} ${JSON.stringify(error)} ${String(error?.cause)}`).not.toMatch(/password-0123/);
    }
  });

  test('a grant that cannot be made leaves no role behind', async () => {
    const order = orderOf();
    const provider = providerOf({
      config: { rules: [{ schema: 'shop', tables: ['absent'], privileges: ['select'] }] },
    });
    await expect(provider.mint(order)).rejects.toMatchObject({
      code: 'CREDENTIAL_UNAVAILABLE',
      message: 'credential db was not made: PostgreSQL refused (42P01)',
    });
    expect(await rolesLeft()).not.toContain(order.permit);
  });

  test('a name that could mean more than itself is refused, and a quote in a template stays a name', async () => {
    const hostile = orderOf({ scope: 'own', agent: 'x"; DROP TABLE shop.orders; --' });
    await expect(providerOf().mint(hostile)).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    const provider = providerOf({
      config: { rules: [{ schema: 'shop', tables: ['orders" TO PUBLIC; --'], privileges: ['select'] }] },
    });
    await expect(provider.mint(orderOf())).rejects.toMatchObject({ message: expect.stringContaining('42P01') });
    expect(await db.run('SELECT count(*)::int AS n FROM shop.orders')).toEqual([{ n: 1 }]);
  });

  test('a scope that no rule has is refused', async () => {
    await expect(providerOf().mint(orderOf({ scope: 'admin' }))).rejects.toMatchObject({
      message: 'credential db has no rule for this scope',
    });
  });
});

test("no password is in the server's log, though it logs every statement", async () => {
  const order = orderOf({ scope: 'read' });
  const provider = providerOf();
  await provider.mint(order);
  await provider.probe(leaseOf(order));
  await provider.revoke(leaseOf(order));
  const log = readFileSync(db.logFile, 'utf8');
  expect(log).toContain(secrets.nameOf(order.permit));
  expect(log).not.toContain(secrets.password(order.permit));
});
