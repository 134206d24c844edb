import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type CryptoKey,
  createLocalJWKSet,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose';
import Provider, { type Configuration, errors, type TokenEndpointGrantContext } from 'oidc-provider';
import * as grants from 'oidc-provider/lib/helpers/grants.js';

/** What the server's token endpoint answers, for tests that change it. */
export type TokenAnswer = Record<string, unknown>;

/** A real authorization server (oidc-provider) in this process, that exchanges tokens (RFC 8693). */
export interface OidcServer {
  readonly issuer: string;
  readonly client: { id: string; secret: string };
  /** Its tokens are opaque: the server revokes and introspects them. */
  readonly api: string;
  /** Its tokens are JWTs, which this server neither revokes nor introspects. */
  readonly jwtApi: string;
  readonly jwks: JSONWebKeySet;
  /** A token of the person's own, of an issuer that this server knows. */
  personToken(person: string): Promise<string>;
  /** What the broker says of an agent, signed with a key that this server knows. */
  agentToken(agent: string, audience: string): Promise<string>;
  /** As the API's own client (RFC 7662). */
  introspect(token: string): Promise<Record<string, unknown>>;
  /** The parameters of each request to the token endpoint. */
  readonly asked: Record<string, unknown>[];
  /** Each token that the token endpoint made. */
  readonly made: string[];
  /** A server that is not as it should be. */
  readonly faults: {
    answer?: ((body: TokenAnswer) => TokenAnswer) | undefined;
    metadata?: ((body: TokenAnswer) => TokenAnswer) | undefined;
    /** The broker may not introspect. */
    silent?: boolean | undefined;
    /** A path that it does not know. */
    missing?: string | undefined;
    /** Redirects every request there. */
    redirect?: string | undefined;
    /** Answers nothing at all. */
    hang?: boolean | undefined;
  };
  stop(): Promise<void>;
  /** On the same port, with what it knew. */
  start(): Promise<void>;
}

interface ExchangeParams {
  subject_token?: string;
  subject_token_type?: string;
  actor_token?: string;
  actor_token_type?: string;
  requested_token_type?: string;
  scope?: string;
  audience?: string;
  resource?: string;
}

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const exchangeParameters = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'scope',
  'audience',
  'resource',
  'authorization_details',
];
const tokenType = (name: string) => `urn:ietf:params:oauth:token-type:${name}`;
const client = { id: 'agentgate-broker', secret: 'broker-client-secret-0123456789' };
const apiClient = { id: 'api', secret: 'api-client-secret-0123456789' };
const api = 'https://api.test/';
const jwtApi = 'https://jwt-api.test/';
const scope = 'read write delete';
const peopleIssuer = 'https://people.test';
const brokerIssuer = 'https://broker.test';

const newSigner = async (issuer: string) => {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const sign = (claims: JWTPayload, audience: string) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('60s')
      .sign(privateKey);
  return { issuer, publicKey, sign };
};
type Signer = Awaited<ReturnType<typeof newSigner>>;

export const startOidcServer = async (ttlS = 300): Promise<OidcServer> => {
  const people = await newSigner(peopleIssuer);
  const broker = await newSigner(brokerIssuer);
  const signing = await generateKeyPair('RS256', { extractable: true });
  const signingJwk = { ...(await exportJWK(signing.privateKey)), alg: 'RS256', use: 'sig', kid: 'test' };
  const publicJwk = { ...(await exportJWK(signing.publicKey)), alg: 'RS256', use: 'sig', kid: 'test' };
  const asked: OidcServer['asked'] = [];
  const made: string[] = [];
  const faults: OidcServer['faults'] = {};
  const acts = new WeakMap<object, Record<string, unknown>>();

  const http = createServer();
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      http.once('error', reject).listen(port, '127.0.0.1', () => resolve());
    });
  await listen(0);
  const { port } = http.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;

  const provider = new Provider(issuer, configurationOf({ signingJwk, ttlS, faults, acts }));
  provider.registerGrantType<ExchangeParams>(
    exchangeGrant,
    createExchange({ provider, issuer, people, broker, acts }),
    exchangeParameters,
    'resource',
  );
  provider.use(async (ctx, next) => {
    if (faults.hang) await new Promise((resolve) => ctx.req.once('close', resolve));
    // What nobody answers is a 404 (Koa).
    if (faults.missing === ctx.path) return;
    if (faults.redirect !== undefined) return ctx.redirect(faults.redirect);
    await next();
    if (ctx.path === '/token' && ctx.status === 200) {
      asked.push({ ...ctx.oidc?.params });
      made.push(ctx.body.access_token);
      ctx.body = faults.answer?.(ctx.body) ?? ctx.body;
    }
    if (ctx.path.startsWith('/.well-known/')) ctx.body = faults.metadata?.(ctx.body) ?? ctx.body;
  });
  const handle = provider.callback();
  http.on('request', (request, response) => void handle(request, response));

  return {
    issuer,
    client,
    api,
    jwtApi,
    jwks: { keys: [{ ...publicJwk, kty: 'RSA' }] },
    personToken: (person) => people.sign({ sub: person }, issuer),
    agentToken: (agent, audience) => broker.sign({ sub: agent }, audience),
    introspect: async (token) => {
      const response = await fetch(`${issuer}/token/introspection`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${apiClient.id}:${apiClient.secret}`).toString('base64')}`,
        },
        body: new URLSearchParams({ token }),
      });
      return (await response.json()) as Record<string, unknown>;
    },
    asked,
    made,
    faults,
    stop: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
    start: () => listen(port),
  };
};

interface ConfigurationParts {
  signingJwk: object;
  ttlS: number;
  faults: OidcServer['faults'];
  acts: WeakMap<object, Record<string, unknown>>;
}

const configurationOf = ({ signingJwk, ttlS, faults, acts }: ConfigurationParts): Configuration => {
  const noPages = { redirect_uris: [], response_types: [] };
  return {
    jwks: { keys: [signingJwk] } as NonNullable<Configuration['jwks']>,
    scopes: scope.split(' '),
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        grant_types: [exchangeGrant, 'client_credentials'],
        authorization_details_types: ['payment'],
        ...noPages,
      },
      { client_id: apiClient.id, client_secret: apiClient.secret, grant_types: [], ...noPages },
    ],
    // The grant's own claims, in the JWT and in what introspection says.
    extraTokenClaims: (_, token) => acts.get(token),
    ttl: { AccessToken: () => ttlS, ClientCredentials: () => ttlS, Grant: () => ttlS },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_, asker, token) => token.clientId === asker.clientId },
      introspection: {
        enabled: true,
        allowedPolicy: (_, asker) => asker.clientId === apiClient.id || !faults.silent,
      },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== api && resource !== jwtApi) throw new errors.InvalidTarget();
          const accessTokenFormat = resource === api ? 'opaque' : 'jwt';
          return { scope, audience: resource, accessTokenTTL: ttlS, accessTokenFormat };
        },
      },
      richAuthorizationRequests: {
        enabled: true,
        types: { payment: { validate: () => {} } },
        authorizationDetailsForGrantSource: () => undefined,
        authorizationDetailsForAccessToken: (ctx) => JSON.parse(String(ctx.oidc.params?.authorization_details)),
        authorizationDetailsForIntrospection: (_, token) => token.rar,
      },
    },
  };
};

interface ExchangeParts {
  provider: Provider;
  issuer: string;
  people: Signer;
  broker: Signer;
  acts: WeakMap<object, Record<string, unknown>>;
}

/** Who the tokens are of decides who may be whom: a person or an agent is the subject, an agent alone is the actor. */
const createExchange =
  ({ provider, issuer, people, broker, acts }: ExchangeParts) =>
  async (ctx: TokenEndpointGrantContext<ExchangeParams>): Promise<void> => {
    const { client: asker, params } = ctx.oidc;
    const verified = async (token: string | undefined, type: string | undefined, signers: Signer[]) => {
      if (type !== tokenType('jwt')) throw new errors.InvalidRequest('a token of an unknown type');
      for (const { issuer: from, publicKey } of signers) {
        const claims = await verifiedBy(token ?? '', publicKey, { issuer: from, audience: issuer });
        if (claims) return claims;
      }
      throw new errors.InvalidRequest(`nobody signed ${token}`);
    };
    if (params.requested_token_type !== tokenType('access_token')) throw new errors.InvalidRequest('no access token');
    const subject = await verified(params.subject_token, params.subject_token_type, [people, broker]);
    const actor =
      params.actor_token === undefined
        ? undefined
        : await verified(params.actor_token, params.actor_token_type, [broker]);
    const dPoP = await grants.validateDpop(provider, ctx);
    const [resourceServer] = await grants.resolveRequestedResources(provider, ctx);
    if (!resourceServer || (params.audience !== undefined && params.audience !== resourceServer.identifier()))
      throw new errors.InvalidTarget();
    const asked = params.scope?.split(' ') ?? [];
    const beyond = asked.find((word) => !resourceServer.scopes.has(word));
    if (beyond !== undefined) throw new errors.InvalidScope('it is not offered', beyond);

    const accountId = String(subject.sub);
    const grant = new provider.Grant({ clientId: asker.clientId, accountId });
    const token = new provider.AccessToken({
      client: asker,
      accountId,
      grantId: await grant.save(),
      gty: 'token_exchange',
      resourceServer,
      scope: asked.join(' '),
    });
    if (dPoP) token.setThumbprint('jkt', dPoP.thumbprint);
    if (actor) acts.set(token, { act: { sub: actor.sub, ...(subject.act ? { act: subject.act } : {}) } });
    await grants.applyAuthorizationDetails(provider, ctx, token);
    ctx.body = grants.buildTokenResponse(provider, {
      accessToken: await token.save(),
      expiresIn: token.expiration,
      issuedTokenType: tokenType('access_token'),
      scope: token.scope,
      tokenType: token.tokenType,
      authorizationDetails: token.rar,
    });
  };

const verifiedBy = async (
  token: string,
  key: CryptoKey,
  wanted: { issuer: string; audience: string },
): Promise<JWTPayload | undefined> => {
  try {
    return (await jwtVerify(token, key, wanted)).payload;
  } catch {
    return undefined;
  }
};

/** The claims of an access token that the server signed. Rejects what it did not. */
export const verifyAccessToken = async (server: OidcServer, token: string, audience: string): Promise<JWTPayload> => {
  const wanted = { issuer: server.issuer, audience, typ: 'at+jwt' };
  return (await jwtVerify(token, createLocalJWKSet(server.jwks), wanted)).payload;
};
