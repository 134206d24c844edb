import type { Config } from '@agentgate/contracts';
import { createJwtProvider, type JwksDocument } from './adapters/jwt-provider.ts';
import { createStaticProvider, type SecretSource } from './adapters/static-provider.ts';
import type { BrokerConfig } from './config.ts';
import type { BrokerLog } from './ending.ts';
import type { Offer } from './provider.ts';

type Of<P extends 'static' | 'jwt'> = Extract<Config['credentials'][string], { provider: P }>;

/** The credentials of agentgate.yaml, each with the provider that makes it. */
export const createOffers = async (
  { credentials, jwt, environment }: BrokerConfig,
  log: BrokerLog,
): Promise<{ offers: Map<string, Offer>; jwks: JwksDocument }> => {
  const offers = new Map<string, Offer>();
  const sources = new Map<string, SecretSource>(named(credentials, 'static').map(([name, { from }]) => [name, from]));
  const fixed = createStaticProvider({ sources, environment, log });
  for (const name of sources.keys())
    offers.set(name, { provider: fixed, maxTtlMs: Number.POSITIVE_INFINITY, scope: undefined, scoped: false });
  if (!jwt) return { offers, jwks: { keys: [] } };
  const tokens = named(credentials, 'jwt');
  const signed = await createJwtProvider({
    ...jwt,
    audiences: new Map(tokens.map(([name, { audience }]) => [name, audience])),
  });
  for (const [name, { ttl_s, scope }] of tokens)
    offers.set(name, { provider: signed, maxTtlMs: ttl_s * 1000, scope, scoped: true });
  return { offers, jwks: signed.jwks };
};

const named = <P extends 'static' | 'jwt'>(credentials: Config['credentials'], provider: P): [string, Of<P>][] =>
  Object.entries(credentials).filter((entry): entry is [string, Of<P>] => entry[1].provider === provider);
