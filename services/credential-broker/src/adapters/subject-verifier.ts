import { AgentGateError, type Config } from '@agentgate/contracts';
import { createRemoteJWKSet, decodeJwt, errors, jwtVerify } from 'jose';
import type { SubjectVerifier } from '../subjects.ts';

/** Signatures with a public key only: a shared secret would let the issuer's other clients sign. */
const algorithms = ['EdDSA', 'Ed25519', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256'];
const clockS = 5;
const keysMs = 2_000;

const invalid = (why: string, cause?: unknown) =>
  new AgentGateError('FIELD_INVALID', `/subject_token: ${why}`, { cause });

/** Tokens of the issuers that agentgate.yaml names, for the audience that it names (RFC 7519; keys by RFC 7517). */
export const createSubjectVerifier = (issuers: Config['subject_tokens'], now: () => number): SubjectVerifier => {
  const byIssuer = new Map(
    issuers.map(({ issuer, audience, jwks_uri }) => [
      issuer,
      { issuer, audience, keys: createRemoteJWKSet(new URL(jwks_uri), { timeoutDuration: keysMs }) },
    ]),
  );
  return async (token) => {
    const known = byIssuer.get(issuerOf(token));
    if (!known) throw invalid('it is of no issuer whose word counts here');
    const { issuer, audience, keys } = known;
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms,
        clockTolerance: clockS,
        requiredClaims: ['sub', 'exp'],
        currentDate: new Date(now()),
      });
      const { sub = '', exp = 0 } = payload;
      if (sub.length === 0 || sub.length > 256) throw invalid('its sub is empty or longer than 256 characters');
      return { person: sub, issuer, expiresAt: exp * 1_000 };
    } catch (error) {
      throw reasonOf(error);
    }
  };
};

const issuerOf = (token: string): string => {
  try {
    return decodeJwt(token).iss ?? '';
  } catch (cause) {
    throw invalid('it is no JWT', cause);
  }
};

/** What the token itself says is not repeated. */
const reasonOf = (error: unknown): AgentGateError => {
  if (error instanceof AgentGateError) return error;
  if (error instanceof errors.JWTExpired) return invalid('it has expired');
  if (error instanceof errors.JWTClaimValidationFailed) return invalid(`its ${error.claim} is not what counts here`);
  if (
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JOSEAlgNotAllowed
  )
    return invalid('its issuer did not sign it');
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return invalid('it is no JWT');
  return new AgentGateError('BROKER_UNAVAILABLE', "the keys of the token's issuer cannot be read", { cause: error });
};
