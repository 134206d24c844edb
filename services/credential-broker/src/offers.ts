import { type Credential, isForPerson, scopeOf } from '@agentgate/contracts';
import { SignJWT } from 'jose';
import type { JwtKeys } from './adapters/jwt-keys.ts';
import { createJwtProvider, seconds } from './adapters/jwt-provider.ts';
import { createSecretReader, type ReadSecret } from './adapters/secret-source.ts';
import { createStaticProvider } from './adapters/static-provider.ts';
import type { BrokerConfig } from './config.ts';
import type { BrokerLog } from './ending.ts';
import type { LeaseOrder, Offer, Provider } from './provider.ts';
import type { LeaseSecrets } from './secrets.ts';

interface OffersParts {
  config: Pick<BrokerConfig, 'credentials' | 'jwt' | 'environment'>;
  keys: JwtKeys;
  secrets: LeaseSecrets;
  log: BrokerLog;
  now: () => number;
}

/** The credentials of agentgate.yaml, each with the provider that makes it. What no credential needs is not even loaded. */
export const createOffers = async (parts: OffersParts): Promise<Map<string, Offer>> =>
  new Map(
    await Promise.all(
      Object.entries(parts.config.credentials).map(
        async ([name, credential]): Promise<[string, Offer]> => [
          name,
          {
            provider: await createProvider(name, credential, parts),
            maxTtlMs: 'ttl_s' in credential ? credential.ttl_s * 1_000 : Number.POSITIVE_INFINITY,
            scope: scopeOf(credential),
            scoped: canNarrow(credential),
            reuse: 'reuse' in credential ? credential.reuse : 'call',
            needsPerson: isForPerson(credential),
            maxLeases: credential.max_leases,
          },
        ],
      ),
    ),
  );

const createProvider = async (
  credential: string,
  config: Credential,
  { config: { jwt, environment }, keys, secrets, log, now }: OffersParts,
): Promise<Provider> => {
  const read: ReadSecret = createSecretReader({ credential, environment, log });
  const shared = { credential, read, secrets, log, now };
  switch (config.provider) {
    case 'static':
      return createStaticProvider({ from: config.from, read });
    case 'jwt':
      return createJwtProvider({ config, keys, issuer: jwt.issuer });
    case 'postgres':
      return (await import('./adapters/postgres-provider.ts')).createPostgresProvider({ ...shared, config });
    case 'redis-acl':
      return (await import('./adapters/redis-acl-provider.ts')).createRedisAclProvider({ ...shared, config });
    case 'oauth-token-exchange':
    case 'oauth-client-credentials':
      return (await import('./adapters/oauth-provider.ts')).createOauthProvider({
        ...shared,
        config,
        agentToken: createAgentToken(keys, jwt.issuer),
      });
    case 'nats-user':
      return (await import('./adapters/nats-user-provider.ts')).createNatsUserProvider({ ...shared, config });
    case 'vault':
      return (await import('./adapters/vault-provider.ts')).createVaultProvider({ ...shared, config });
    case 'aws-sts':
      return (await import('./adapters/aws-sts-provider.ts')).createAwsStsProvider({ ...shared, config });
    default:
      return config satisfies never;
  }
};

const canNarrow = (credential: Credential): boolean => {
  switch (credential.provider) {
    case 'jwt':
    case 'oauth-token-exchange':
    case 'oauth-client-credentials':
      return true;
    default:
      return scopeOf(credential) !== undefined;
  }
};

const agentTokenS = 60;

/** What the broker says to a token endpoint of the agent (RFC 7523): the subject, or the actor, of an exchange. */
const createAgentToken =
  (keys: JwtKeys, issuer: string) =>
  async ({ tenant, agent, lease, issuedAt }: LeaseOrder, audience: string): Promise<string> => {
    const { kid, key } = await keys.signing();
    const subject = `${tenant}/${agent}`;
    return new SignJWT({ client_id: subject })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid })
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setIssuedAt(seconds(issuedAt))
      .setExpirationTime(seconds(issuedAt) + agentTokenS)
      .setJti(lease)
      .sign(key);
  };
