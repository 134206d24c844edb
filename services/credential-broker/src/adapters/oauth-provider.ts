import { exportJWK } from 'jose';
import {
  type Configuration,
  clientCredentialsGrant,
  type DPoPHandle,
  genericGrantRequest,
  getDPoPHandle,
  randomDPoPKeyPair,
  type TokenEndpointResponse,
  tokenIntrospection,
  tokenRevocation,
} from 'openid-client';
import { z } from 'zod';
import {
  type LeaseAtProvider,
  type LeaseOrder,
  type Minted,
  type Probe,
  type Provider,
  unavailable,
} from '../provider.ts';
import { createOauthServer, isUnsupportedToken, type OauthServerOptions } from './oauth-server.ts';

export interface OauthProviderOptions extends OauthServerOptions {
  /** A short JWT, signed by the broker, that says to `audience` which agent this is for. */
  agentToken: (order: LeaseOrder, audience: string) => Promise<string>;
}

const tokenType = (name: string) => `urn:ietf:params:oauth:token-type:${name}`;
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** What fits sealed into a lease's answer. */
const maxTokenLength = 8_192;
const maxExpiresInS = 31_536_000;

const handleSchema = z.strictObject({
  token: z.string(),
  refresh_token: z.string().optional(),
  /** When the token ends by itself. Milliseconds since the epoch. */
  expires_at: z.number(),
  /** Introspection called a new token active, so it means something when it calls one inactive. */
  introspected: z.boolean(),
});
type Handle = z.infer<typeof handleSchema>;

/**
 * An access token a lease: of an exchange (RFC 8693) of the agent's token, or of a person's with the agent as actor, or of the broker's own
 * client credentials (RFC 6749, section 4.4). It ends by revocation (RFC 7009); introspection (RFC 7662) proves it. A resource server that
 * looks at a token alone, without asking the authorization server, takes it until it expires.
 */
export const createOauthProvider = (opts: OauthProviderOptions): Provider => {
  const { config, now } = opts;
  const server = createOauthServer(opts);
  let introspected = false;
  return {
    kind: config.provider,
    mint: (order) =>
      server.work('was not made', async (client) => {
        const proof = config.bind === 'dpop' ? await newProofKey(client) : undefined;
        const askedAt = now();
        const answer = await requestToken(opts, client, order, proof?.handle);
        try {
          checkAnswer(opts, order, answer);
        } catch (error) {
          await revokeRefused(client, answer);
          throw error;
        }
        // What it says of a dead token counts only if it is known to speak of live ones.
        introspected ||= (await isActive(client, answer.access_token).catch(() => false)) ?? false;
        return mintedOf(order, answer, { askedAt, introspected, dpopKey: proof?.jwk });
      }),
    revoke: async (lease) => {
      const handle = readHandle(lease);
      // Nobody was given a token that was not written down.
      if (!handle) return;
      await server.work('was not ended', (client) => revokeAll(client, handle));
    },
    probe: async (lease) => {
      const handle = readHandle(lease);
      if (!handle)
        return {
          state: 'unprovable',
          detail: 'no token was written down, so nobody was given one',
          goodUntil: lease.expiresAt,
        };
      return server.work('could not be tried', (client) => probeToken(client, handle));
    },
    close: async () => {},
  };
};

/** Undefined for a lease whose broker died before it could write its handle. */
const readHandle = ({ credential, handle }: LeaseAtProvider): Handle | undefined => {
  if (handle === undefined) return undefined;
  try {
    return handleSchema.parse(JSON.parse(handle));
  } catch {
    throw unavailable(credential, 'has a lease with a handle that is none');
  }
};

/** A key for the holder's proofs (RFC 9449); the first of them goes to the token endpoint. */
const newProofKey = async (client: Configuration) => {
  const keys = await randomDPoPKeyPair('ES256', { extractable: true });
  return { handle: getDPoPHandle(client, keys), jwk: { ...(await exportJWK(keys.privateKey)) } };
};

const requestToken = async (
  opts: OauthProviderOptions,
  client: Configuration,
  order: LeaseOrder,
  proof: DPoPHandle | undefined,
): Promise<TokenEndpointResponse> => {
  const { config } = opts;
  const dpop = proof && { DPoP: proof };
  const target = targetOf(opts, order);
  if (config.provider === 'oauth-client-credentials') return clientCredentialsGrant(client, target, dpop);
  const agent = await opts.agentToken(order, client.serverMetadata().issuer);
  const jwt = tokenType('jwt');
  const parties =
    config.subject === 'person'
      ? {
          subject_token: personToken(order),
          subject_token_type: jwt,
          actor_token: agent,
          actor_token_type: jwt,
        }
      : { subject_token: agent, subject_token_type: jwt };
  const parameters = { ...parties, requested_token_type: tokenType('access_token'), ...target };
  return genericGrantRequest(client, exchangeGrant, parameters, dpop);
};

const personToken = ({ credential, person }: LeaseOrder): string => {
  if (!person) throw unavailable(credential, 'needs a session that names a person');
  return person.token;
};

/** What the token is to be good for. */
const targetOf = ({ config }: OauthProviderOptions, { credential, scope }: LeaseOrder): Record<string, string> => {
  const { audience, resource, authorization_details: details } = config;
  // A request without a scope gets what the server likes to give (RFC 6749, section 3.3).
  if (scope !== undefined && wordsOf(scope).length === 0)
    throw unavailable(credential, 'cannot be made for an empty scope');
  return {
    ...(audience !== undefined && { audience }),
    ...(resource !== undefined && { resource }),
    ...(scope !== undefined && { scope }),
    ...(details !== undefined && { authorization_details: JSON.stringify(details) }),
  };
};

const wordsOf = (scope: string): string[] => scope.split(' ').filter((word) => word !== '');

/** Throws CREDENTIAL_UNAVAILABLE for a token that is good for more, or for longer, than can be answered for. */
const checkAnswer = ({ config }: OauthProviderOptions, order: LeaseOrder, answer: TokenEndpointResponse): void => {
  const refuse = (why: string) => unavailable(order.credential, `was not made: the authorization server gave ${why}`);
  const { access_token: token, token_type: type, expires_in: expiresIn, scope, issued_token_type: issued } = answer;
  if (type !== (config.bind ?? 'bearer'))
    throw refuse(config.bind ? 'a token that is not bound to the key' : 'a token that is no bearer token');
  if (issued !== undefined && issued !== tokenType('access_token') && issued !== tokenType('jwt'))
    throw refuse('something else than an access token');
  if (token.length > maxTokenLength) throw refuse(`a token of more than ${maxTokenLength} characters`);
  if (expiresIn === undefined || expiresIn <= 0 || expiresIn > maxExpiresInS)
    throw refuse('a token without a proper end');
  if (scope === undefined || order.scope === undefined) return;
  const asked = wordsOf(order.scope);
  if (!wordsOf(scope).every((word) => asked.includes(word))) throw refuse('a wider scope than was asked');
};

const mintedOf = (
  order: LeaseOrder,
  { access_token: token, refresh_token, expires_in = 0 }: TokenEndpointResponse,
  {
    askedAt,
    introspected,
    dpopKey,
  }: { askedAt: number; introspected: boolean; dpopKey: Minted['dpopKey'] | undefined },
): Minted => {
  const endsAt = askedAt + Math.floor(expires_in * 1_000);
  const handle: Handle = {
    token,
    ...(refresh_token !== undefined && { refresh_token }),
    expires_at: endsAt,
    introspected,
  };
  return {
    parts: { secret: token },
    hidden: ['secret'],
    handle: JSON.stringify(handle),
    ...(dpopKey && { dpopKey }),
    ...(endsAt < order.expiresAt && { expiresAt: endsAt }),
  };
};

/** The broker never uses a refresh token; with one left alive, the server would still give access. */
const revokeAll = async (client: Configuration, { token, refresh_token }: Pick<Handle, 'token' | 'refresh_token'>) => {
  if (refresh_token !== undefined) await revokeToken(client, refresh_token, 'refresh_token');
  await revokeToken(client, token, 'access_token');
};

/** Whether it did anything is for `probe` to find out: some servers cannot end tokens, or not those that are JWTs. */
const revokeToken = async (client: Configuration, token: string, hint: 'access_token' | 'refresh_token') => {
  if (client.serverMetadata().revocation_endpoint === undefined) return;
  try {
    await tokenRevocation(client, token, { token_type_hint: hint });
  } catch (error) {
    if (!isUnsupportedToken(error)) throw error;
  }
};

/** Nobody gets it, and the caller hears why; so it is as well if this fails. */
const revokeRefused = (client: Configuration, { access_token: token, refresh_token }: TokenEndpointResponse) =>
  revokeAll(client, { token, ...(refresh_token !== undefined && { refresh_token }) }).catch(() => {});

/** Undefined where the server cannot tell. */
const isActive = async (client: Configuration, token: string): Promise<boolean | undefined> => {
  if (client.serverMetadata().introspection_endpoint === undefined) return undefined;
  try {
    return (await tokenIntrospection(client, token, { token_type_hint: 'access_token' })).active;
  } catch (error) {
    if (isUnsupportedToken(error)) return undefined;
    throw error;
  }
};

const probeToken = async (client: Configuration, handle: Handle): Promise<Probe> => {
  const active = await isActive(client, handle.token);
  const unprovable = (detail: string): Probe => ({ state: 'unprovable', detail, goodUntil: handle.expires_at });
  if (active === undefined) return unprovable('the authorization server does not tell whether the token is active');
  if (active)
    return client.serverMetadata().revocation_endpoint === undefined
      ? unprovable('the authorization server revokes no tokens: this one is active until it expires')
      : { state: 'alive', detail: 'introspection: the token is active' };
  // RFC 7662, section 2.2: a client that may not ask hears the same of a live token.
  return handle.introspected
    ? { state: 'refused', detail: 'introspection: the token is not active' }
    : unprovable('introspection never called a token of this credential active, so its "inactive" proves nothing');
};
