import { createServer } from 'node:http';
import { freePort } from '@agentgate/testkit';
import { createLocalJWKSet, exportJWK, generateKeyPair, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';

/** A real authorization server (oidc-provider), which also knows the exchange of RFC 8693, with people that it speaks for. */
export interface OidcServer {
  issuer: string;
  client: { id: string; secret: string };
  /** Whose tokens it takes as the agents': the broker's keys. */
  agents: { keys: JSONWebKeySet };
  /** A token of a person, for the gate. */
  personToken(person: string, change?: { audience?: string; expiresInS?: number; by?: 'somebody' }): Promise<string>;
  /** Where the keys are that sign people's tokens. */
  jwksUri: string;
  /** What a resource server sees of a token (RFC 7662). */
  introspect(token: string): Promise<Record<string, unknown>>;
  /** What was granted beyond what was asked for, from now on. */
  generous: { scope?: string; forEver?: boolean };
  close(): Promise<void>;
}

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const scopes = ['orders:read', 'orders:write'];
export const audience = 'https://orders.test';
export const gateAudience = 'agentgate';

export const startOidcServer = async (): Promise<OidcServer> => {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const client = { id: 'gate', secret: 'oidc-client-secret-0123456789' };
  const agents: OidcServer['agents'] = { keys: { keys: [] } };
  const generous: OidcServer['generous'] = {};
  const people = await generateKeyPair('ES256');
  const peopleKeys = { keys: [{ ...(await exportJWK(people.publicKey)), kid: 'people', alg: 'ES256' }] };
  const extras = new WeakMap<object, Record<string, unknown>>();
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        grant_types: ['client_credentials', exchange],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
        scope: scopes.join(' '),
      },
    ],
    scopes,
    extraTokenClaims: async (_, token) => extras.get(token),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: async () => true },
      revocation: { enabled: true, allowedPolicy: async () => true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => audience,
        getResourceServerInfo: async (_, resource) => ({
          scope: scopes.join(' '),
          audience: resource,
          accessTokenFormat: 'opaque',
          accessTokenTTL: 120,
        }),
      },
    },
  });
  const verified = async (token: string, keys: JSONWebKeySet, wanted: string) =>
    (await jwtVerify(token, createLocalJWKSet(keys), { audience: wanted })).payload;
  const parameters = new Set([
    ...['audience', 'resource', 'scope', 'requested_token_type', 'authorization_details'],
    ...['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'],
  ]);
  provider.registerGrantType(
    exchange,
    async (ctx: KoaContextWithOIDC) => {
      const params = ctx.oidc.params as Record<string, string | undefined>;
      const { subject_token = '', actor_token, scope = '' } = params;
      const refuse = (error: string) => {
        ctx.status = 400;
        ctx.body = { error };
      };
      let extra: Record<string, unknown>;
      try {
        if (actor_token === undefined) extra = { sub: (await verified(subject_token, agents.keys, issuer)).sub };
        else {
          const person = await verified(subject_token, peopleKeys, gateAudience);
          const actor = await verified(actor_token, agents.keys, issuer);
          extra = { sub: person.sub, act: { sub: actor.sub } };
        }
      } catch {
        return refuse('invalid_grant');
      }
      if (scope.split(' ').some((word) => word !== '' && !scopes.includes(word))) return refuse('invalid_scope');
      const token = new provider.ClientCredentials({
        client: ctx.oidc.client as never,
        scope: generous.scope ?? scope,
      });
      Object.assign(token, { aud: params.audience ?? params.resource, expiresIn: 120 });
      const rar = params.authorization_details && { rar: JSON.parse(params.authorization_details) };
      extras.set(token, { ...extra, ...rar });
      const value = await token.save();
      ctx.body = {
        access_token: value,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        ...(generous.forEver ? {} : { expires_in: 120 }),
        scope: token.scope,
      };
    },
    [...parameters],
  );
  const handle = provider.callback();
  const server = createServer((req, res) => {
    if (req.url === '/people.json')
      return void res.setHeader('content-type', 'application/json').end(JSON.stringify(peopleKeys));
    void handle(req, res);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const basic = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`;
  return {
    issuer,
    client,
    agents,
    generous,
    jwksUri: `${issuer}/people.json`,
    personToken: async (person, { audience: aud = gateAudience, expiresInS = 300, by } = {}) => {
      const key = by ? (await generateKeyPair('ES256')).privateKey : people.privateKey;
      return new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: 'people' })
        .setIssuer(issuer)
        .setSubject(person)
        .setAudience(aud)
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
        .sign(key);
    },
    introspect: async (token) => {
      const answer = await fetch(`${issuer}/token/introspection`, {
        method: 'POST',
        headers: { authorization: basic, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token }),
      });
      return (await answer.json()) as Record<string, unknown>;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
