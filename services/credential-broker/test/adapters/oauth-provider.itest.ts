import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CredentialOf } from '@agentgate/contracts';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createOauthProvider, type OauthProviderOptions } from '../../src/adapters/oauth-provider.ts';
import { type OidcServer, startOidcServer, type TokenAnswer, verifyAccessToken } from '../authorization-server.ts';
import { leaseOf, orderOf } from '../orders.ts';

type Exchange = CredentialOf<'oauth-token-exchange'>;
type ClientCredentials = CredentialOf<'oauth-client-credentials'>;

let server: OidcServer;
let resource: { url: string; close: () => Promise<void> };

beforeAll(async () => {
  server = await startOidcServer();
  resource = await startResource(server);
});
afterEach(() => {
  server.faults.answer = undefined;
  server.faults.metadata = undefined;
  server.faults.silent = undefined;
  server.faults.missing = undefined;
  server.faults.redirect = undefined;
  server.faults.hang = undefined;
});
afterAll(async () => {
  await resource?.close();
  await server?.stop();
});

/** An API that asks the authorization server about each token. */
const startResource = async (issuedBy: OidcServer) => {
  const http: Server = createServer(async (request, response) => {
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    const { active, aud, scope } = await issuedBy.introspect(token);
    const needed = request.url?.slice(1) ?? '';
    if (!active || aud !== issuedBy.api) response.writeHead(401);
    else response.writeHead(String(scope).split(' ').includes(needed) ? 200 : 403);
    response.end();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', () => resolve()));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    close: () => new Promise<void>((resolve) => http.close(() => resolve())),
  };
};
const use = async (what: string, token: string) =>
  (await fetch(`${resource.url}/${what}`, { headers: { authorization: `Bearer ${token}` } })).status;

const shared = () => ({
  issuer: server.issuer,
  client: { id: server.client.id, secret: { env: 'CLIENT_SECRET' } },
  resource: server.api,
  ttl_s: 60,
  reuse: 'call' as const,
  max_leases: 100,
});
const exchange = (change: Partial<Exchange> = {}): Exchange => ({
  provider: 'oauth-token-exchange',
  subject: 'agent',
  ...shared(),
  ...change,
});
const clientCredentials = (change: Partial<ClientCredentials> = {}): ClientCredentials => ({
  provider: 'oauth-client-credentials',
  ...shared(),
  ...change,
});
const providerOf = (config: Exchange | ClientCredentials = exchange(), change: Partial<OauthProviderOptions> = {}) =>
  createOauthProvider({
    credential: 'crm',
    config,
    read: async () => server.client.secret,
    agentToken: ({ tenant, agent }, audience) => server.agentToken(`${tenant}/${agent}`, audience),
    now: Date.now,
    ...change,
  });
const personal = async () =>
  orderOf({ scope: 'read', person: { id: 'alice', token: await server.personToken('alice') } });
const secretsOf = () => [...server.made, server.client.secret];

/** The error, after a look at all that it holds. */
const failureOf = async (work: () => Promise<unknown>, hidden: string[] = secretsOf()) => {
  const error: unknown = await work().then(
    () => expect.fail('it did not fail'),
    (e: unknown) => e,
  );
  const said: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) said.push(at.message, at.stack ?? '', JSON.stringify(at));
  for (const secret of hidden) expect(said.join('\n')).not.toContain(secret);
  return error;
};
const unavailable = (message: RegExp) =>
  expect.objectContaining({ code: 'CREDENTIAL_UNAVAILABLE', message: expect.stringMatching(message) });

describe('a token of an exchange', () => {
  test('is taken in its scope, and refused beyond it', async () => {
    const minted = await providerOf().mint(orderOf({ scope: 'read write' }));
    expect(minted.hidden).toEqual(['secret']);
    expect(minted.dpopKey).toBeUndefined();
    expect(minted.parts).toEqual({ secret: server.made.at(-1) });
    expect(await use('read', minted.parts.secret)).toBe(200);
    expect(await use('write', minted.parts.secret)).toBe(200);
    expect(await use('delete', minted.parts.secret)).toBe(403);
  });

  test('is for one audience', async () => {
    const { parts } = await providerOf(exchange({ audience: server.api })).mint(orderOf({ scope: 'read' }));
    expect(await server.introspect(parts.secret)).toMatchObject({ active: true, aud: server.api, scope: 'read' });
    const other = await providerOf(exchange({ resource: server.jwtApi })).mint(orderOf({ scope: 'read' }));
    await expect(verifyAccessToken(server, other.parts.secret, server.api)).rejects.toMatchObject({
      code: 'ERR_JWT_CLAIM_VALIDATION_FAILED',
    });
    expect(await use('read', other.parts.secret)).toBe(401);
  });

  test('names the agent as its subject, and nobody as its actor', async () => {
    const { parts } = await providerOf(exchange({ resource: server.jwtApi })).mint(orderOf({ scope: 'read' }));
    const claims = await verifyAccessToken(server, parts.secret, server.jwtApi);
    expect(claims).toMatchObject({ sub: 'default/demo', scope: 'read', aud: server.jwtApi });
    expect(claims).not.toHaveProperty('act');
  });

  test('for a person names them as its subject and the agent as its actor', async () => {
    const order = await personal();
    const jwt = await providerOf(exchange({ subject: 'person', resource: server.jwtApi })).mint(order);
    expect(await verifyAccessToken(server, jwt.parts.secret, server.jwtApi)).toMatchObject({
      sub: 'alice',
      act: { sub: 'default/demo' },
      client_id: server.client.id,
    });
    expect(server.asked.at(-1)).toMatchObject({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: order.person?.token,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      scope: 'read',
    });
    const opaque = await providerOf(exchange({ subject: 'person' })).mint(await personal());
    expect(await server.introspect(opaque.parts.secret)).toMatchObject({ sub: 'alice', act: { sub: 'default/demo' } });
  });

  test('for a person is refused where the session names none', async () => {
    const work = () => providerOf(exchange({ subject: 'person' })).mint(orderOf({ scope: 'read', credential: 'crm' }));
    expect(await failureOf(work)).toEqual(unavailable(/^credential crm needs a session that names a person$/));
  });

  test("is refused for a person's token that nobody signed, and what the server says of it is not repeated", async () => {
    const order = orderOf({ scope: 'read', person: { id: 'alice', token: 'eyJhbGciOiJub25lIn0.e30.forged' } });
    const error = await failureOf(
      () => providerOf(exchange({ subject: 'person' })).mint(order),
      ['forged', 'nobody signed'],
    );
    expect(error).toEqual(
      unavailable(/^credential crm was not made: the authorization server refused: invalid_request$/),
    );
  });

  test('carries the details of what was authorized (RFC 9396)', async () => {
    const details = [{ type: 'payment', actions: ['initiate'], limit: '10.00' }];
    const { parts } = await providerOf(exchange({ authorization_details: details })).mint(orderOf({ scope: 'read' }));
    expect(await server.introspect(parts.secret)).toMatchObject({ authorization_details: details });
  });

  test('ends before its lease where the server says so', async () => {
    const order = orderOf({ scope: 'read' });
    const before = Date.now();
    expect((await providerOf().mint(order)).expiresAt).toBeUndefined();
    server.faults.answer = (body) => ({ ...body, expires_in: 10 });
    const { expiresAt } = await providerOf().mint(order);
    expect(expiresAt).toBeGreaterThanOrEqual(before + 10_000);
    expect(expiresAt).toBeLessThanOrEqual(Date.now() + 10_000);
  });
});

describe("a token of the broker's client credentials", () => {
  test('is taken in its scope, and ends', async () => {
    const provider = providerOf(clientCredentials());
    const order = orderOf({ scope: 'read' });
    const { parts, handle } = await provider.mint(order);
    expect(provider.kind).toBe('oauth-client-credentials');
    expect(server.asked.at(-1)).toMatchObject({ grant_type: 'client_credentials', resource: server.api });
    expect(await use('read', parts.secret)).toBe(200);
    expect(await use('write', parts.secret)).toBe(403);
    await provider.revoke(leaseOf(order, handle));
    expect(await use('read', parts.secret)).toBe(401);
    expect(await provider.probe(leaseOf(order, handle))).toMatchObject({ state: 'refused' });
  });
});

describe('ending', () => {
  test('revokes the token: introspection says so, and the API refuses it', async () => {
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    const { parts, handle } = await provider.mint(order);
    expect(await provider.probe(leaseOf(order, handle))).toEqual({
      state: 'alive',
      detail: 'introspection: the token is active',
    });
    await provider.revoke(leaseOf(order, handle));
    expect(await server.introspect(parts.secret)).toEqual({ active: false });
    expect(await use('read', parts.secret)).toBe(401);
    expect(await provider.probe(leaseOf(order, handle))).toEqual({
      state: 'refused',
      detail: 'introspection: the token is not active',
    });
  });

  test('twice is as good as once, and so it is by another broker', async () => {
    const order = orderOf({ scope: 'read' });
    const { handle } = await providerOf().mint(order);
    const successor = providerOf();
    await successor.revoke(leaseOf(order, handle));
    await successor.revoke(leaseOf(order, handle));
    expect(await successor.probe(leaseOf(order, handle))).toMatchObject({ state: 'refused' });
  });

  test('without a handle has nothing to do, and proves nothing', async () => {
    const order = orderOf({ scope: 'read' });
    await providerOf().revoke(leaseOf(order));
    expect(await providerOf().probe(leaseOf(order))).toMatchObject({
      state: 'unprovable',
      goodUntil: order.expiresAt,
    });
  });

  test('with a handle that is none fails', async () => {
    const lease = leaseOf(orderOf(), '{"token":"s3cret-of-the-handle"');
    for (const work of [() => providerOf().revoke(lease), () => providerOf().probe(lease)])
      expect(await failureOf(work, ['s3cret-of-the-handle'])).toEqual(unavailable(/a handle that is none$/));
  });

  test('ends a refresh token that nobody asked for, too', async () => {
    const spare = await providerOf().mint(orderOf({ scope: 'read' }));
    server.faults.answer = (body) => ({ ...body, refresh_token: spare.parts.secret });
    const order = orderOf({ scope: 'read' });
    const { parts, handle } = await providerOf().mint(order);
    await providerOf().revoke(leaseOf(order, handle));
    expect(await use('read', parts.secret)).toBe(401);
    expect(await use('read', spare.parts.secret)).toBe(401);
  });

  test('of a JWT that the server cannot revoke is unprovable until it expires', async () => {
    const provider = providerOf(exchange({ resource: server.jwtApi }));
    const order = orderOf({ scope: 'read' });
    const { handle } = await provider.mint(order);
    await provider.revoke(leaseOf(order, handle));
    const { state, goodUntil = 0 } = await provider.probe(leaseOf(order, handle));
    expect(state).toBe('unprovable');
    expect(Math.abs(goodUntil - (order.issuedAt + 300_000))).toBeLessThan(5_000);
  });

  test.each(['revocation_endpoint', 'introspection_endpoint'])('at a server without %s is unprovable', async (name) => {
    server.faults.metadata = (body) => ({ ...body, [name]: undefined });
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    const { parts, handle } = await provider.mint(order);
    await provider.revoke(leaseOf(order, handle));
    expect(await use('read', parts.secret)).toBe(name === 'revocation_endpoint' ? 200 : 401);
    expect(await provider.probe(leaseOf(order, handle))).toMatchObject({
      state: 'unprovable',
      goodUntil: expect.any(Number),
    });
  });

  test('is not proven by a server that calls every token inactive', async () => {
    server.faults.silent = true;
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    const { parts, handle } = await provider.mint(order);
    expect(await use('read', parts.secret)).toBe(200);
    expect(await provider.probe(leaseOf(order, handle))).toMatchObject({ state: 'unprovable' });
  });
});

describe('a token that is bound to a key (bind: dpop)', () => {
  test.each([
    ['exchange', () => exchange({ bind: 'dpop' })],
    ['client credentials', () => clientCredentials({ bind: 'dpop' })],
  ])('of %s is bound to the key of its lease', async (_, config) => {
    const provider = providerOf(config());
    const order = orderOf({ scope: 'read' });
    const { parts, dpopKey, handle } = await provider.mint(order);
    const key = dpopKey as JWK;
    expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', d: expect.any(String) });
    expect(await server.introspect(parts.secret)).toMatchObject({
      active: true,
      token_type: 'DPoP',
      cnf: { jkt: await calculateJwkThumbprint(key) },
    });
    const other = await provider.mint(orderOf({ scope: 'read' }));
    expect((other.dpopKey as JWK).x).not.toBe(key.x);
    await provider.revoke(leaseOf(order, handle));
    expect(await provider.probe(leaseOf(order, handle))).toMatchObject({ state: 'refused' });
  });
});

describe('a token that is not as it was asked', () => {
  const cases: [string, (body: TokenAnswer) => TokenAnswer, RegExp, 'dpop'?][] = [
    ['has a wider scope', (body) => ({ ...body, scope: 'read write' }), /a wider scope than was asked$/],
    ['has no end', ({ expires_in: _, ...body }) => body, /a token without a proper end$/],
    ['has ended already', (body) => ({ ...body, expires_in: 0 }), /a token without a proper end$/],
    ['is good for ages', (body) => ({ ...body, expires_in: 1e12 }), /a token without a proper end$/],
    ['is not bound', (body) => ({ ...body, token_type: 'Bearer' }), /a token that is not bound to the key$/, 'dpop'],
    ['is bound to an unknown key', (body) => ({ ...body, token_type: 'DPoP' }), /a token that is no bearer token$/],
    ['is none for access', (body) => ({ ...body, token_type: 'N_A' }), /a token that is no bearer token$/],
    [
      'is a refresh token',
      (body) => ({ ...body, issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }),
      /something else than an access token$/,
    ],
  ];
  test.each(cases)('is refused and revoked: it %s', async (_, answer, message, bind) => {
    server.faults.answer = answer;
    const order = orderOf({ scope: 'read', credential: 'crm' });
    const error = await failureOf(() => providerOf(exchange({ ...(bind && { bind }) })).mint(order));
    expect(error).toEqual(unavailable(message));
    expect(await server.introspect(server.made.at(-1) ?? '')).toEqual({ active: false });
  });

  test('is not even asked for with an empty scope, which would mean any', async () => {
    const before = server.made.length;
    expect(await failureOf(() => providerOf().mint(orderOf({ scope: '' })))).toEqual(
      unavailable(/for an empty scope$/),
    );
    expect(server.made.length).toBe(before);
  });

  test('is refused by the server itself for a scope that it does not offer', async () => {
    expect(await failureOf(() => providerOf().mint(orderOf({ scope: 'admin' })))).toEqual(
      unavailable(/the authorization server refused: invalid_scope$/),
    );
  });
});

describe('when the server', () => {
  test('is down, nothing is made or called ended; afterwards it goes on', async () => {
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    const { handle } = await provider.mint(order);
    await server.stop();
    try {
      const works: [() => Promise<unknown>, RegExp][] = [
        [() => provider.mint(orderOf({ scope: 'read' })), /^credential crm was not made: .* does not answer$/],
        [() => providerOf().mint(orderOf({ scope: 'read' })), /^credential crm was not made: .* does not answer$/],
        [() => provider.revoke(leaseOf(order, handle)), /^credential crm was not ended: .* does not answer$/],
        [() => provider.probe(leaseOf(order, handle)), /^credential crm could not be tried: .* does not answer$/],
      ];
      for (const [work, message] of works) expect(await failureOf(work)).toEqual(unavailable(message));
    } finally {
      await server.start();
    }
    await provider.revoke(leaseOf(order, handle));
    expect(await provider.probe(leaseOf(order, handle))).toMatchObject({ state: 'refused' });
  });

  test('was down at the first try, its metadata is read at the next', async () => {
    const provider = providerOf();
    await server.stop();
    try {
      await failureOf(() => provider.mint(orderOf({ scope: 'read' })));
    } finally {
      await server.start();
    }
    expect((await provider.mint(orderOf({ scope: 'read' }))).parts.secret).toBe(server.made.at(-1));
  });

  test('hangs, it is given up on after two seconds', async () => {
    const provider = providerOf();
    const order = orderOf({ scope: 'read' });
    const { handle } = await provider.mint(order);
    server.faults.hang = true;
    const began = performance.now();
    expect(await failureOf(() => provider.revoke(leaseOf(order, handle)))).toEqual(unavailable(/does not answer$/));
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  test('does not take the broker as its client, nothing is made or called ended', async () => {
    const order = orderOf({ scope: 'read' });
    const { handle } = await providerOf().mint(order);
    const stranger = providerOf(exchange(), { read: async () => 'wrong-secret' });
    for (const work of [() => stranger.mint(order), () => stranger.revoke(leaseOf(order, handle))])
      expect(await failureOf(work, [...secretsOf(), 'wrong-secret'])).toEqual(
        unavailable(/the authorization server does not take the broker as a client$/),
      );
  });

  test('has got a new secret for the broker, it counts at the next mint', async () => {
    let secret = 'old';
    const provider = providerOf(exchange(), { read: async () => secret });
    await failureOf(() => provider.mint(orderOf({ scope: 'read' })));
    secret = server.client.secret;
    await provider.mint(orderOf({ scope: 'read' }));
  });

  test('redirects, nobody follows', async () => {
    const provider = providerOf();
    await provider.mint(orderOf({ scope: 'read' }));
    let visited = 0;
    const trap = createServer((_, response) => {
      visited++;
      response.end('{}');
    });
    await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', () => resolve()));
    server.faults.redirect = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/`;
    try {
      for (const asked of [provider, providerOf()])
        expect(await failureOf(() => asked.mint(orderOf({ scope: 'read' })))).toEqual(unavailable(/no proper answer$/));
      expect(visited).toBe(0);
    } finally {
      trap.close();
    }
  });

  test('names an endpoint beyond this machine without TLS, nothing goes there', async () => {
    server.faults.metadata = (body) => ({ ...body, token_endpoint: 'http://as.invalid/token' });
    const began = performance.now();
    expect(await failureOf(() => providerOf().mint(orderOf({ scope: 'read' })))).toEqual(
      unavailable(/no proper answer$/),
    );
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test.each(['oauth-authorization-server', 'openid-configuration'])(
    'has no %s, it is found all the same',
    async (name) => {
      server.faults.missing = `/.well-known/${name}`;
      expect((await providerOf().mint(orderOf({ scope: 'read' }))).parts.secret).toBe(server.made.at(-1));
    },
  );

  test('says that it is another one, it is not asked', async () => {
    server.faults.metadata = (body) => ({ ...body, issuer: 'http://127.0.0.1:1' });
    expect(await failureOf(() => providerOf().mint(orderOf({ scope: 'read' })))).toEqual(
      unavailable(/no proper answer$/),
    );
  });
});
