import { AgentGateError, type CredentialOf } from '@agentgate/contracts';
import {
  allowInsecureRequests,
  ClientSecretBasic,
  type Configuration,
  clientCredentialsGrant,
  type DPoPHandle,
  discovery,
  genericGrantRequest,
  getDPoPHandle,
  ResponseBodyError,
  randomDPoPKeyPair,
  type TokenEndpointResponse,
  tokenIntrospection,
  tokenRevocation,
} from 'openid-client';
import { z } from 'zod';
import { type LeaseOrder, type Minted, type Provider, unavailable } from '../provider.ts';
import { bareCause } from './bare-cause.ts';
import type { ReadSecret } from './secret-source.ts';

interface OauthOptions {
  credential: string;
  config: CredentialOf<'oauth-token-exchange'> | CredentialOf<'oauth-client-credentials'>;
  read: ReadSecret;
  /** A short JWT of the broker's that says who the agent is. */
  agentToken: (order: LeaseOrder, audience: string) => Promise<string>;
  now: () => number;
}

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const jwtType = 'urn:ietf:params:oauth:token-type:jwt';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
const requestS = 2;
const handleForm = z.strictObject({ token: z.string().min(1) });

/**
 * Access tokens of an authorization server: by exchange of the agent's or the person's token (RFC 8693), or as the client that the gate is
 * there. They end by revocation (RFC 7009); whether they did is asked by introspection (RFC 7662), where the server has it.
 */
export const createOauthProvider = (opts: OauthOptions): Provider => {
  const { credential, config, now } = opts;
  const server = createServer(opts);
  const attempt = async <T>(failure: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AgentGateError) throw error;
      const refused = error instanceof ResponseBodyError ? `: the server refused (${wordOf(error.error)})` : '';
      throw unavailable(credential, `${failure}${refused}`, bareCause(error));
    }
  };
  return {
    kind: config.provider,
    mint: (order) =>
      attempt('was not made', async () => {
        const at = await server();
        const bound = config.bind === 'dpop' ? await proofKey(at) : undefined;
        const granted = await ask(opts, at, order, bound?.handle);
        const token = granted.access_token;
        try {
          const expiresAt = checked(credential, granted, order, bound !== undefined, now());
          const minted: Minted = {
            parts: { secret: token },
            hidden: ['secret'],
            handle: JSON.stringify({ token }),
            expiresAt,
          };
          return bound ? { ...minted, dpopKey: bound.jwk } : minted;
        } catch (error) {
          // Not what was asked for: nobody gets it, and it is not left lying about.
          await tokenRevocation(at, token).catch(() => {});
          throw error;
        }
      }),
    revoke: ({ handle }) =>
      attempt('was not ended', async () => {
        // Without a handle the broker died before the token was written down: nobody was ever given it.
        if (handle === undefined) return;
        const at = await server();
        if (at.serverMetadata().revocation_endpoint === undefined) return;
        await tokenRevocation(at, tokenIn(credential, handle), { token_type_hint: 'access_token' });
      }),
    probe: ({ handle, expiresAt }) =>
      attempt('could not be tried', async () => {
        const goodUntil = expiresAt;
        if (handle === undefined)
          return {
            state: 'unprovable',
            detail: 'its token was never written down, and nobody was given it',
            goodUntil,
          };
        const at = await server();
        if (at.serverMetadata().introspection_endpoint === undefined)
          return { state: 'unprovable', detail: 'the server has no introspection: it cannot be asked', goodUntil };
        const { active } = await tokenIntrospection(at, tokenIn(credential, handle), {
          token_type_hint: 'access_token',
        });
        return { state: active ? 'alive' : 'refused', detail: `introspection says active: ${active}` };
      }),
    close: async () => {},
  };
};

/** The server's metadata, read once; a failure is not remembered, and a rotated client secret counts at once. */
const createServer = ({ credential, config, read }: OauthOptions): (() => Promise<Configuration>) => {
  let known: { secret: string; server: Promise<Configuration> } | undefined;
  return async () => {
    const secret = await read(config.client.secret);
    if (known?.secret !== secret) {
      const opened = discover(config, secret);
      known = { secret, server: opened };
      opened.catch(() => {
        known = undefined;
      });
    }
    try {
      return await known.server;
    } catch (error) {
      throw unavailable(credential, "cannot be asked for: the issuer's metadata cannot be read", bareCause(error));
    }
  };
};

/** OpenID's place for the metadata is tried first, RFC 8414's next. */
const discover = async ({ issuer, client }: OauthOptions['config'], secret: string): Promise<Configuration> => {
  // The configuration takes http for this machine only.
  const execute = issuer.startsWith('http:') ? [allowInsecureRequests] : [];
  const from = (algorithm: 'oidc' | 'oauth2') =>
    discovery(new URL(issuer), client.id, undefined, ClientSecretBasic(secret), {
      algorithm,
      execute,
      timeout: requestS,
    });
  try {
    return await from('oidc');
  } catch {
    return await from('oauth2');
  }
};

const ask = async (
  { config, agentToken }: OauthOptions,
  server: Configuration,
  order: LeaseOrder,
  DPoP: DPoPHandle | undefined,
): Promise<TokenEndpointResponse> => {
  const wanted = {
    ...(order.scope !== undefined && { scope: order.scope }),
    ...(config.audience !== undefined && { audience: config.audience }),
    ...(config.resource !== undefined && { resource: config.resource }),
    ...(config.authorization_details && { authorization_details: JSON.stringify(config.authorization_details) }),
  };
  const options = DPoP ? { DPoP } : {};
  if (config.provider === 'oauth-client-credentials') return clientCredentialsGrant(server, wanted, options);
  const agent = await agentToken(order, server.serverMetadata().issuer);
  return genericGrantRequest(
    server,
    exchange,
    { ...wanted, ...whose(config, order, agent), requested_token_type: accessTokenType },
    options,
  );
};

/** Whose token is exchanged: the agent's, or the person's with the agent as who acts for them. */
const whose = ({ subject }: CredentialOf<'oauth-token-exchange'>, order: LeaseOrder, agent: string) => {
  if (subject === 'agent') return { subject_token: agent, subject_token_type: jwtType };
  if (!order.person) throw unavailable(order.credential, 'needs a session that names a person');
  return {
    subject_token: order.person.token,
    subject_token_type: jwtType,
    actor_token: agent,
    actor_token_type: jwtType,
  };
};

/** What was granted is no more than was asked for. Its end, in milliseconds since the epoch. */
const checked = (
  credential: string,
  granted: TokenEndpointResponse,
  { scope }: LeaseOrder,
  bound: boolean,
  now: number,
): number => {
  const { expires_in, token_type } = granted;
  if (expires_in === undefined || expires_in <= 0) throw unavailable(credential, 'was granted without an end');
  if (bound !== (token_type === 'dpop'))
    throw unavailable(credential, bound ? 'was granted without being bound to a key' : 'was granted as another type');
  const asked = new Set(scope?.split(' ') ?? []);
  // RFC 6749, section 5.1: left out, it is what was asked for.
  const wider = granted.scope?.split(' ').some((word) => word !== '' && !asked.has(word));
  if (scope !== undefined && wider) throw unavailable(credential, 'was granted with a wider scope than was asked for');
  return now + expires_in * 1_000;
};

/** A key for the holder's proofs (RFC 9449): of this lease alone. */
const proofKey = async (server: Configuration) => {
  const keys = await randomDPoPKeyPair('ES256', { extractable: true });
  const jwk = await crypto.subtle.exportKey('jwk', keys.privateKey);
  return { handle: getDPoPHandle(server, keys), jwk: { ...jwk } };
};

const tokenIn = (credential: string, handle: string): string => {
  try {
    return handleForm.parse(JSON.parse(handle)).token;
  } catch {
    throw unavailable(credential, 'has a lease whose handle is not one');
  }
};

/** Error codes are of a closed form (RFC 6749, section 5.2); anything longer is not repeated. */
const wordOf = (code: string): string => (/^[a-z_]{1,40}$/.test(code) ? code : 'without a code');
