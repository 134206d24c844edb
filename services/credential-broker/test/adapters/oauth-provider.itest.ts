import type { CredentialOf } from '@agentgate/contracts';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createOauthProvider } from '../../src/adapters/oauth-provider.ts';
import type { LeaseOrder, Minted, Provider } from '../../src/provider.ts';
import { audience, type OidcServer, startOidcServer } from '../oidc-server.ts';
import { leaseOf, orderOf } from '../orders.ts';

let server: OidcServer;
let agentToken: (order: LeaseOrder, audience: string) => Promise<string>;
const details = [{ type: 'orders', actions: ['read'], identifier: '42' }];

beforeAll(async () => {
  server = await startOidcServer();
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
  server.agents.keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'agents', alg: 'EdDSA' }] };
  agentToken = ({ tenant, agent }, aud) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'EdDSA', kid: 'agents' })
      .setSubject(`${tenant}/${agent}`)
      .setAudience(aud)
      .setExpirationTime('1m')
      .sign(privateKey);
});
afterEach(() => {
  delete server.generous.scope;
  delete server.generous.forEver;
});
afterAll(() => server?.close());

const shared = { ttl_s: 60, reuse: 'call', max_leases: 100, audience } as const;
const clientOf = () => ({ id: server.client.id, secret: { env: 'SECRET' } });
const providerOf = (
  config: CredentialOf<'oauth-token-exchange'> | CredentialOf<'oauth-client-credentials'>,
  secret = server.client.secret,
): Provider =>
  createOauthProvider({ credential: 'orders', config, read: async () => secret, agentToken, now: Date.now });
const exchanging = (change: Partial<CredentialOf<'oauth-token-exchange'>> = {}) =>
  providerOf({
    provider: 'oauth-token-exchange',
    issuer: server.issuer,
    client: clientOf(),
    subject: 'agent',
    ...shared,
    ...change,
  });
const asClient = (change: Partial<CredentialOf<'oauth-client-credentials'>> = {}, secret?: string) =>
  providerOf(
    {
      provider: 'oauth-client-credentials',
      issuer: server.issuer,
      client: clientOf(),
      ...shared,
      audience: undefined,
      resource: audience,
      ...change,
    },
    secret,
  );
const order = (change: Partial<LeaseOrder> = {}) => orderOf({ credential: 'orders', scope: 'orders:read', ...change });
const leaseWith = (asked: LeaseOrder, minted: Minted) => leaseOf(asked, minted.handle);

/** A resource server: it takes the token for what its introspection says. */
const use = async (token: string, scope: string): Promise<'taken' | 'refused'> => {
  const { active, scope: granted, aud } = await server.introspect(token);
  return active === true && aud === audience && String(granted).split(' ').includes(scope) ? 'taken' : 'refused';
};

describe('an exchange', () => {
  test('gives a token for the agent, narrowed and for one audience', async () => {
    const asked = order();
    const minted = await exchanging({ authorization_details: details }).mint(asked);
    const token = minted.parts.secret;
    expect(await server.introspect(token)).toMatchObject({
      active: true,
      sub: 'default/demo',
      scope: 'orders:read',
      aud: audience,
      rar: details,
    });
    expect([await use(token, 'orders:read'), await use(token, 'orders:write')]).toEqual(['taken', 'refused']);
    expect(minted.expiresAt).toBeGreaterThan(Date.now() + 60_000);
  });

  test('gives a token of the person for whom the agent acts, and says that it does', async () => {
    const person = { id: 'ann', token: await server.personToken('ann') };
    const { parts } = await exchanging({ subject: 'person' }).mint(order({ person }));
    expect(await server.introspect(parts.secret)).toMatchObject({ sub: 'ann', act: { sub: 'default/demo' } });
  });

  test("is refused by the server for a person's token that is not its own", async () => {
    const person = { id: 'ann', token: await server.personToken('ann', { by: 'somebody' }) };
    await expect(exchanging({ subject: 'person' }).mint(order({ person }))).rejects.toMatchObject({
      code: 'CREDENTIAL_UNAVAILABLE',
      message: 'credential orders was not made: the server refused (invalid_grant)',
    });
    await expect(exchanging({ subject: 'person' }).mint(order())).rejects.toMatchObject({
      message: 'credential orders needs a session that names a person',
    });
  });

  test('of a scope that the server does not have is refused by it', async () => {
    await expect(exchanging().mint(order({ scope: 'admin' }))).rejects.toMatchObject({
      message: 'credential orders was not made: the server refused (invalid_scope)',
    });
  });

  test.each([
    ['a wider scope', { scope: 'orders:read orders:write' }, /wider scope/],
    ['no end', { forEver: true }, /without an end/],
  ])('that gives %s than was asked is given to nobody', async (_, generous, message) => {
    Object.assign(server.generous, generous);
    await expect(exchanging().mint(order())).rejects.toMatchObject({ message: expect.stringMatching(message) });
  });
});

describe('as a client', () => {
  test('gets a token of its own', async () => {
    const { parts } = await asClient().mint(order());
    expect(await server.introspect(parts.secret)).toMatchObject({
      client_id: 'gate',
      scope: 'orders:read',
      aud: audience,
    });
  });

  test('gets one that is bound to the key of the lease', async () => {
    const { parts, dpopKey } = await asClient({ bind: 'dpop' }).mint(order());
    expect(await server.introspect(parts.secret)).toMatchObject({
      token_type: 'DPoP',
      cnf: { jkt: await calculateJwkThumbprint(dpopKey ?? {}) },
    });
    expect(dpopKey).toHaveProperty('d');
  });

  test('that the server does not bind is given to nobody', async () => {
    await expect(exchanging({ bind: 'dpop' }).mint(order())).rejects.toMatchObject({
      message: 'credential orders was granted without being bound to a key',
    });
  });
});

describe('its end', () => {
  test.each(['exchange', 'client'])('is a refused use (%s)', async (how) => {
    const provider = how === 'client' ? asClient() : exchanging();
    const asked = order();
    const minted = await provider.mint(asked);
    expect(await provider.probe(leaseWith(asked, minted))).toMatchObject({ state: 'alive' });
    await provider.revoke(leaseWith(asked, minted));
    expect(await provider.probe(leaseWith(asked, minted))).toEqual({
      state: 'refused',
      detail: 'introspection says active: false',
    });
    expect(await use(minted.parts.secret, 'orders:read')).toBe('refused');
    await provider.revoke(leaseWith(asked, minted));
  });

  test('of a token that was never written down needs none: nobody was given it', async () => {
    const provider = exchanging();
    await provider.revoke(leaseOf(order()));
    expect(await provider.probe(leaseOf(order()))).toMatchObject({ state: 'unprovable' });
  });
});

describe('when something is wrong', () => {
  test('the server is down, or does not know the gate: nothing is made or called ended, and no secret is repeated', async () => {
    const asked = order();
    const minted = await asClient().mint(asked);
    const wrong = [asClient({ issuer: 'http://127.0.0.1:1' }), asClient({}, 'wrong-secret-0123456789')];
    for (const provider of wrong)
      for (const work of [
        () => provider.mint(asked),
        () => provider.revoke(leaseWith(asked, minted)),
        () => provider.probe(leaseWith(asked, minted)),
      ]) {
        const error = await work().then(
          () => undefined,
          (e: Error) => e,
        );
        expect(error).toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
        const said = `${error?.stack} ${JSON.stringify(error)} ${String(error?.cause)}`;
        expect(said).not.toContain(minted.parts.secret);
        expect(said).not.toMatch(/secret-0123456789/);
      }
    await asClient().revoke(leaseWith(asked, minted));
  });

  test('an issuer that comes up later is found', async () => {
    let issuer = 'http://127.0.0.1:1';
    const config = {
      provider: 'oauth-client-credentials' as const,
      client: clientOf(),
      ...shared,
      resource: audience,
      get issuer() {
        return issuer;
      },
    };
    const provider = providerOf(config);
    await expect(provider.mint(order())).rejects.toMatchObject({ code: 'CREDENTIAL_UNAVAILABLE' });
    issuer = server.issuer;
    await provider.mint(order());
  });
});
