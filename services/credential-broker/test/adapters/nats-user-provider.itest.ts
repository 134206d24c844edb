import { writeFileSync } from 'node:fs';
import { type Bus, connectBus } from '@agentgate/bus';
import type { CredentialOf } from '@agentgate/contracts';
import { newOperatorSeed, publicKeyOf } from '@agentgate/ground/jwt';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNatsUserProvider } from '../../src/adapters/nats-user-provider.ts';
import type { Provider } from '../../src/provider.ts';
import { eventually, leaseOf, orderOf, testSecrets } from '../orders.ts';

let ground: Ground;
let system: string;
const secrets = testSecrets();
const providers: Provider[] = [];
const opened: Bus[] = [];

const config = (): CredentialOf<'nats-user'> => ({
  provider: 'nats-user',
  servers: ground.natsUrl,
  account: { env: 'ACCOUNT' },
  operator: { env: 'OPERATOR' },
  system: { env: 'SYSTEM' },
  rules: [
    { scope: 'publish', publish: ['jobs.{agent}.>'], subscribe: [] },
    { scope: 'listen', publish: [], subscribe: ['news.{tenant}'] },
  ],
  ttl_s: 60,
  reuse: 'call',
  max_leases: 100,
});
const providerOf = (change: Partial<CredentialOf<'nats-user'>> = {}): Provider => {
  const seeds = ground.deployment.seeds;
  const values = {
    ACCOUNT: seeds.tenant('default'),
    OPERATOR: seeds.operator,
    SYSTEM: system.trimEnd(),
    STRANGER: newOperatorSeed(),
  };
  const provider = createNatsUserProvider({
    credential: 'bus',
    config: { ...config(), ...change },
    read: async (source) => ('env' in source ? (values as Record<string, string>)[source.env] : undefined) ?? '',
    secrets,
    now: Date.now,
  });
  providers.push(provider);
  return provider;
};
const login = async (creds: string, permit: string): Promise<Bus> => {
  const user = secrets.nameOf(permit);
  const bus = await connectBus({
    servers: ground.natsUrl,
    creds,
    user,
    instance: `t-${opened.length}`,
    timeoutMs: 2_000,
  });
  opened.push(bus);
  return bus;
};
const accountJwt = async (): Promise<string> => {
  const bus = await connectBus({ servers: ground.natsUrl, creds: system, user: 'sys', instance: 'sys' });
  opened.push(bus);
  const id = ground.accountId('default');
  const said = await bus.requestRaw(`$SYS.REQ.ACCOUNT.${id}.CLAIMS.LOOKUP`, '', { of: 'nats', timeoutMs: 2_000 });
  return new TextDecoder().decode(said);
};
const claims = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()).nats;

beforeAll(async () => {
  ground = await startGround({ redis: false });
  system = await ground.mintUser({
    account: 'SYS',
    user: 'sys',
    pub: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP', '$SYS.REQ.ACCOUNT.*.CONNZ'],
    sub: ['_INBOX_sys.>'],
  });
  writeFileSync(`${ground.dir}/sys.creds`, system);
});
afterAll(async () => {
  for (const bus of opened) await bus.close().catch(() => {});
  for (const provider of providers) await provider.close();
  await ground?.stop();
});

describe('a lease', () => {
  test('allows what its scope covers; everything else is refused by the server itself', async () => {
    const order = orderOf({ scope: 'publish' });
    const { parts, hidden } = await providerOf().mint(order);
    const bus = await login(parts.creds ?? '', order.permit);
    const other = orderOf();
    const listener = await login((await providerOf().mint(other)).parts.creds ?? '', other.permit);
    // A request is answered at once by 'no responders' where it may be published, and not at all where it may not.
    const said = (from: Bus, subject: string) =>
      from.requestRaw(subject, 'x', { of: 'x', timeoutMs: 400 }).then(
        () => 'answered',
        (error: Error) => error.message,
      );
    expect(await said(bus, 'jobs.demo.one')).toMatch(/not running/);
    for (const subject of ['jobs.other.one', 'agent.demo.call', 'news.default', '$SYS.REQ.USER.INFO'])
      expect(await said(bus, subject), subject).not.toMatch(/not running|answered/);
    expect(await said(listener, 'jobs.demo.two')).toMatch(/not running/);
    expect(hidden).toEqual(['secret', 'creds', 'jwt', 'seed']);
    expect(parts.seed).toMatch(/^SU/);
    for (const done of [order, other]) await providerOf().revoke(leaseOf(done));
  });

  test('ends by revocation: an open connection is cut and a login refused', async () => {
    const order = orderOf();
    const provider = providerOf();
    const { parts } = await provider.mint(order);
    const bus = await login(parts.creds ?? '', order.permit);
    expect(await provider.probe(leaseOf(order))).toMatchObject({
      state: 'alive',
      detail: 'login taken, 1 connections',
    });
    await provider.revoke(leaseOf(order));
    await eventually(async () => expect(bus.connected()).toBe(false));
    expect(await provider.probe(leaseOf(order))).toEqual({ state: 'refused', detail: 'login refused, 0 connections' });
    await expect(login(parts.creds ?? '', order.permit)).rejects.toThrow(/did not take/);
  });

  test('cannot be brought back by signing it again: the key itself is refused', async () => {
    const order = orderOf();
    const provider = providerOf();
    await provider.mint(order);
    await provider.revoke(leaseOf(order));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const again = await provider.mint({ ...order, issuedAt: Date.now(), expiresAt: Date.now() + 60_000 });
    await expect(login(again.parts.creds ?? '', order.permit)).rejects.toThrow(/did not take/);
  });

  test('ends by its expiry, too, with nobody there to end it', async () => {
    const order = orderOf({ expiresAt: Date.now() + 2_000 });
    const { parts } = await providerOf().mint(order);
    const bus = await login(parts.creds ?? '', order.permit);
    await eventually(async () => expect(bus.connected()).toBe(false), 5_000);
  });
});

describe('ending', () => {
  test('twice, and what was never made, end well', async () => {
    const order = orderOf();
    const provider = providerOf();
    await provider.revoke(leaseOf(order));
    await provider.revoke(leaseOf(order));
    expect(await provider.probe(leaseOf(order))).toMatchObject({ state: 'refused' });
  });

  test('by two brokers at the same time loses none of forty', async () => {
    const orders = Array.from({ length: 40 }, () => orderOf());
    const [one, two] = [providerOf(), providerOf()];
    await Promise.all(orders.map((order, i) => (i % 2 ? one : two).revoke(leaseOf(order))));
    const { revocations } = claims(await accountJwt());
    const probes = await Promise.all(orders.slice(0, 6).map((order) => one.probe(leaseOf(order))));
    expect(probes.every(({ state }) => state === 'refused')).toBe(true);
    expect(Object.keys(revocations).length).toBeGreaterThanOrEqual(40);
  });

  test("leaves the rest of the account as it is, and other people's revocations", async () => {
    const { revocations: _, tags: __, ...before } = claims(await accountJwt());
    await providerOf().revoke(leaseOf(orderOf()));
    const { revocations, tags, ...after } = claims(await accountJwt());
    expect(after).toEqual(before);
    expect(tags.length).toBe(Object.keys(revocations).length);
    const agent = await ground.connect('agent-demo');
    expect(agent.connected()).toBe(true);
  });

  test('finds who is connected without a lease', async () => {
    const order = orderOf();
    const { parts } = await providerOf().mint(order);
    await login(parts.creds ?? '', order.permit);
    expect(await providerOf().list?.()).toMatchObject({ complete: false, permits: [order.permit] });
    await providerOf().revoke(leaseOf(order));
    await eventually(async () => expect(await providerOf().list?.()).toMatchObject({ permits: [] }));
  });
});

describe('when something is wrong', () => {
  test('an account that is not the one of the seed, and a server that is down, make and end nothing', async () => {
    const elsewhere = providerOf({ account_id: publicKeyOf(ground.deployment.seeds.tenant('other')) });
    await expect(elsewhere.revoke(leaseOf(orderOf()))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    // Claims that are signed by somebody else are not signed by us.
    const stranger = providerOf({ operator: { env: 'STRANGER' } });
    await expect(stranger.revoke(leaseOf(orderOf()))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    const down = providerOf({ servers: 'nats://127.0.0.1:1' });
    await expect(down.revoke(leaseOf(orderOf()))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    await expect(down.probe(leaseOf(orderOf()))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
  });

  test.each(['a.b', '>', '*'])('a name that could mean more than itself is refused: %s', async (agent) => {
    await expect(providerOf().mint(orderOf({ agent }))).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
  });
});
