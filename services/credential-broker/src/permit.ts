import {
  AgentGateError,
  limits,
  type Permit,
  type PermitClaims,
  permitDomain,
  permitLines,
} from '@agentgate/contracts';
import { canonical, createSealCache, type KeyRing, verifySeal } from '@agentgate/evidence';

/** Clocks of two machines differ a little: a permit may come this much before its own time. */
const clockSkewMs = 1_000;

/** Whether policy allowed this call, now. The broker asks nobody: it verifies the signature and the times itself. */
export type PermitCheck = (permit: Permit) => PermitClaims;

const refused = (why: string, cause?: unknown) => new AgentGateError('POLICY_DENIED', `permit: ${why}`, { cause });

export const createPermitCheck = ({ keys, now }: { keys: KeyRing; now: () => number }): PermitCheck => {
  const cache = createSealCache();
  return ({ claims, seal }) => {
    const verdict = verifySeal({
      domain: permitDomain,
      lines: permitLines,
      leaf: canonical(claims),
      seal,
      keys,
      cache,
    });
    if (!verdict.ok) throw refused('policy did not sign it', verdict);
    const at = now();
    if (at >= claims.deadline) throw new AgentGateError('TIMEOUT', 'the deadline of the call has passed');
    if (at >= claims.expires_at) throw refused('expired');
    if (at < claims.issued_at - clockSkewMs) throw refused('not valid yet');
    // A record outlives every replay of its permit only because no permit lives longer than this.
    if (claims.expires_at - claims.issued_at > limits.permitTtlMs)
      throw refused(`lives longer than ${limits.permitTtlMs} ms`);
    return claims;
  };
};
