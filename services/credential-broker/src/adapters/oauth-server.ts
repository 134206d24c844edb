import { AgentGateError, type CredentialOf } from '@agentgate/contracts';
import {
  allowInsecureRequests,
  ClientError,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  type CustomFetch,
  customFetch,
  discovery,
  None,
  ResponseBodyError,
  type ServerMetadata,
} from 'openid-client';
import { unavailable } from '../provider.ts';
import type { ReadSecret } from './secret-source.ts';

export interface OauthServerOptions {
  credential: string;
  config: CredentialOf<'oauth-token-exchange'> | CredentialOf<'oauth-client-credentials'>;
  read: ReadSecret;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** An authorization server, asked as the client that the broker is there. */
export interface OauthServer {
  /** Rejects CREDENTIAL_UNAVAILABLE with `failure` and why; nothing that the server said stands in it but a registered error code. */
  work<T>(failure: string, work: (server: Configuration) => Promise<T>): Promise<T>;
}

const deadlineS = 2;
const metadataMs = 600_000;
const loopback = ['127.0.0.1', '[::1]', 'localhost'];

/** Reads its metadata when it is first needed, and anew after ten minutes or a failure. */
export const createOauthServer = ({ credential, config, read, now }: OauthServerOptions): OauthServer => {
  let known: { metadata: Promise<ServerMetadata>; until: number } | undefined;
  const metadata = async (): Promise<ServerMetadata> => {
    if (!known || known.until <= now()) known = { metadata: discover(config), until: now() + metadataMs };
    const current = known;
    try {
      return await current.metadata;
    } catch (error) {
      if (known === current) known = undefined;
      throw error;
    }
  };
  return {
    work: async (failure, work) => {
      try {
        const secret = await read(config.client.secret);
        return await work(clientOf(config, await metadata(), secret));
      } catch (error) {
        if (error instanceof AgentGateError) throw error;
        throw unavailable(credential, `${failure}: ${reasonOf(error)}`, new Error(nameOf(error)));
      }
    },
  };
};

/** RFC 8414 says where its metadata is, OpenID Connect Discovery says otherwise; servers do the one or the other. */
const discover = async (config: OauthServerOptions['config']): Promise<ServerMetadata> => {
  const issuer = new URL(config.issuer);
  const found = async (algorithm: 'oauth2' | 'oidc') => {
    const execute = isHttp(issuer) ? [allowInsecureRequests] : [];
    const options = { algorithm, execute, timeout: deadlineS, [customFetch]: guardedFetch };
    return (await discovery(issuer, config.client.id, undefined, None(), options)).serverMetadata();
  };
  try {
    return await found('oauth2');
  } catch (error) {
    if (!isNotThere(error)) throw error;
    return found('oidc');
  }
};

const clientOf = (
  { issuer, client }: OauthServerOptions['config'],
  metadata: ServerMetadata,
  secret: string,
): Configuration => {
  // RFC 8414: a server that names no method takes client_secret_basic.
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const authentication = methods.includes('client_secret_basic') ? ClientSecretBasic : ClientSecretPost;
  const configuration = new Configuration(metadata, client.id, undefined, authentication(secret));
  configuration.timeout = deadlineS;
  configuration[customFetch] = guardedFetch;
  if (isHttp(new URL(issuer))) allowInsecureRequests(configuration);
  return configuration;
};

const isHttp = ({ protocol }: URL) => protocol === 'http:';

/** An issuer on this machine may name an endpoint elsewhere: no secret goes there in the clear. The library follows no redirects. */
const guardedFetch: CustomFetch = async (url, options) => {
  const target = new URL(url);
  if (isHttp(target) && !loopback.includes(target.hostname)) throw new ClientError('http beyond this machine');
  return fetch(url, { ...options, redirect: 'manual' } as RequestInit);
};

const isNotThere = (error: unknown): boolean =>
  error instanceof ClientError &&
  (error.code === 'OAUTH_RESPONSE_IS_NOT_CONFORM' || error.code === 'OAUTH_RESPONSE_IS_NOT_JSON');

/** Of RFC 6749, 7009, 8693 (with 8707), 9396 and 9449. */
const registered = [
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'unsupported_token_type',
  'invalid_target',
  'invalid_authorization_details',
  'invalid_dpop_proof',
  'use_dpop_nonce',
];

const reasonOf = (error: unknown): string => {
  if (error instanceof ResponseBodyError)
    return registered.includes(error.error)
      ? `the authorization server refused: ${error.error}`
      : 'the authorization server refused';
  if (error instanceof Error && error.name === 'WWWAuthenticateChallengeError')
    return 'the authorization server does not take the broker as a client';
  if (error instanceof ClientError && error.code !== 'OAUTH_TIMEOUT')
    return 'the authorization server gave no proper answer';
  return 'the authorization server does not answer';
};

/** The errors of the library hold the request and what came back. */
const nameOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'an error';
  return 'code' in error && typeof error.code === 'string' ? `${error.name} ${error.code}` : error.name;
};

/** RFC 7009, section 2.2.1: a server that cannot end, or look up, tokens of this form says so. */
export const isUnsupportedToken = (error: unknown): boolean =>
  error instanceof ResponseBodyError && error.error === 'unsupported_token_type';
