import { AgentGateError } from '@agentgate/contracts';
import type { SigningKey } from '@agentgate/evidence';
import { calculateJwkThumbprint, importJWK, SignJWT } from 'jose';
import type { Provider } from '../provider.ts';

interface JwtProviderOptions {
  key: SigningKey;
  /** The `iss` of every token: where its verifier finds `/jwks.json`. */
  issuer: string;
  /** Whom each credential's token is for. */
  audiences: ReadonlyMap<string, string>;
}

/** A JSON Web Key Set (RFC 7517) of public keys. */
export interface JwksDocument {
  keys: { kty: 'OKP'; crv: 'Ed25519'; x: string; use: 'sig'; alg: 'EdDSA'; kid: string }[];
}

const seconds = (ms: number) => Math.floor(ms / 1000);

/**
 * Access tokens of the form of RFC 9068, signed with EdDSA (RFC 8037). No person stands behind an agent's call, so `sub` and
 * `client_id` both name the agent (RFC 9068, section 2.2). A token ends by its `exp` alone: there is nothing to revoke.
 */
export const createJwtProvider = async ({
  key,
  issuer,
  audiences,
}: JwtProviderOptions): Promise<Provider & { jwks: JwksDocument }> => {
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: key.publicKey } as const;
  const kid = await calculateJwkThumbprint(publicJwk);
  const privateKey = await importJWK({ ...publicJwk, d: key.seed }, 'EdDSA');
  return {
    name: 'jwt',
    jwks: { keys: [{ ...publicJwk, use: 'sig', alg: 'EdDSA', kid }] },
    mint: async ({ lease, credential, scope, tenant, agent, issuedAt, expiresAt }) => {
      const audience = audiences.get(credential);
      if (audience === undefined)
        throw new AgentGateError('CREDENTIAL_UNAVAILABLE', `credential ${credential} has no audience`);
      // Rounded down: a token never outlives its lease.
      if (seconds(expiresAt) <= seconds(issuedAt))
        throw new AgentGateError('TIMEOUT', 'less than a second is left for a token to be valid');
      const subject = `${tenant}/${agent}`;
      const token = await new SignJWT({ client_id: subject, ...(scope === undefined ? {} : { scope }) })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid })
        .setIssuer(issuer)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt(seconds(issuedAt))
        .setExpirationTime(seconds(expiresAt))
        .setJti(lease)
        .sign(privateKey);
      return { secret: Buffer.from(token, 'utf8') };
    },
    revoke: async () => {},
  };
};
