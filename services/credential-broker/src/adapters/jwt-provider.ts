import { AgentGateError, type CredentialOf } from '@agentgate/contracts';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Minted, Provider } from '../provider.ts';
import type { JwtKeys } from './jwt-keys.ts';

interface JwtProviderOptions {
  config: Pick<CredentialOf<'jwt'>, 'audience' | 'bind'>;
  keys: JwtKeys;
  /** The `iss` of every token: where its verifier finds `/jwks.json` and `/revoked.json`. */
  issuer: string;
}

export const seconds = (ms: number) => Math.floor(ms / 1000);

/**
 * Access tokens of the form of RFC 9068, signed with EdDSA (RFC 8037). The agent is the client; without a person it is the subject, too
 * (RFC 9068, section 2.2), with one it acts for them (`act`, RFC 8693, section 4.1). A verifier that looks at the token alone takes it until
 * its `exp`; `/revoked.json` names those that ended before.
 */
export const createJwtProvider = ({ config, keys, issuer }: JwtProviderOptions): Provider => ({
  kind: 'jwt',
  mint: async ({ lease, scope, tenant, agent, person, issuedAt, expiresAt }) => {
    // Rounded down: a token never outlives its lease.
    if (seconds(expiresAt) <= seconds(issuedAt))
      throw new AgentGateError('TIMEOUT', 'less than a second is left for a token to be valid');
    const { kid, key } = await keys.signing();
    const client = `${tenant}/${agent}`;
    const proof = config.bind === 'dpop' ? await newProofKey() : undefined;
    const token = await new SignJWT({
      client_id: client,
      ...(scope === undefined ? {} : { scope }),
      ...(person === undefined ? {} : { act: { sub: client } }),
      ...(proof && { cnf: { jkt: proof.thumbprint } }),
    })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid })
      .setIssuer(issuer)
      .setSubject(person?.id ?? client)
      .setAudience(config.audience)
      .setIssuedAt(seconds(issuedAt))
      .setExpirationTime(seconds(expiresAt))
      .setJti(lease)
      .sign(key);
    const minted: Minted = { parts: { secret: token }, hidden: ['secret'] };
    return proof ? { ...minted, dpopKey: proof.jwk } : minted;
  },
  revoke: async () => {},
  probe: async ({ expiresAt }) => ({
    state: 'unprovable',
    detail: 'the token stands in /revoked.json; a verifier that does not look there takes it until it expires',
    goodUntil: expiresAt,
  }),
  close: async () => {},
});

/** A key for the holder's proofs (RFC 9449) and its thumbprint (RFC 7638). */
const newProofKey = async () => {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { jwk: { ...jwk }, thumbprint: await calculateJwkThumbprint(jwk) };
};
