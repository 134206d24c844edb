import {
  AgentGateError,
  type ListingClaims,
  type ListingPermit,
  limits,
  listingDomain,
  type Permit,
  type PermitClaims,
  permitDomain,
  permitLines,
  type Seal,
} from '@agentgate/contracts';
import { canonical, createSealCache, type KeyRing, verifySeal } from '@agentgate/evidence';

// What runner and broker both demand of a permit before they believe it. What each demands beyond that stands in its own check.

/** Clocks of two machines differ a little: a permit may come this much before its own time. */
const clockSkewMs = 1_000;

export const permitRefused = (why: string, cause?: unknown): AgentGateError =>
  new AgentGateError('POLICY_DENIED', `permit: ${why}`, { cause });

/** Whether policy signed the claims. Throws POLICY_DENIED; one signature is verified once for all permits of its batch. */
export const createPermitSeal = (keys: KeyRing): ((permit: Permit) => PermitClaims) => createSeal(keys, permitDomain);

/** The same of a permit to list a server's tools, which passes for no other. */
export const createListingSeal = (keys: KeyRing): ((permit: ListingPermit) => ListingClaims) =>
  createSeal(keys, listingDomain);

const createSeal = <C extends object>(keys: KeyRing, domain: string): ((permit: { claims: C; seal: Seal }) => C) => {
  const cache = createSealCache();
  return ({ claims, seal }) => {
    const verdict = verifySeal({
      domain,
      lines: permitLines,
      leaf: canonical(claims),
      seal,
      keys,
      cache,
    });
    if (!verdict.ok) throw permitRefused('policy did not sign it', verdict);
    return claims;
  };
};

/** Whether the permit is good at `at`, in milliseconds since the epoch. Throws TIMEOUT after the deadline, else POLICY_DENIED. */
export const refuseOtherTime = (
  claims: Pick<PermitClaims, 'deadline' | 'expires_at' | 'issued_at'>,
  at: number,
  deadline: number = claims.deadline,
): void => {
  if (at >= Math.min(claims.deadline, deadline))
    throw new AgentGateError('TIMEOUT', 'the deadline of the call has passed');
  if (at >= claims.expires_at) throw permitRefused('it has expired');
  if (at < claims.issued_at - clockSkewMs) throw permitRefused('it is not valid yet');
  // Used permits are remembered for as long as a permit may live, and no longer: only so does no replay outlive its record.
  if (claims.expires_at - claims.issued_at > limits.permitTtlMs)
    throw permitRefused(`it lives longer than ${limits.permitTtlMs} ms`);
};
