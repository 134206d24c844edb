import {
  AgentGateError,
  type ExecuteAsk,
  limits,
  type PermitClaims,
  permitDomain,
  permitLines,
} from '@agentgate/contracts';
import { canonical, createSealCache, type KeyRing, sha256Hex, verifySeal } from '@agentgate/evidence';

/** Whether policy allowed exactly this call, now. Ingress may be compromised, so nothing it says is believed without this. */
export type PermitCheck = (ask: ExecuteAsk) => PermitClaims;

/** Clocks of two machines differ a little: a permit may come this much before its own time. */
const clockSkewMs = 1_000;

const refused = (why: string, cause?: unknown) => new AgentGateError('POLICY_DENIED', `permit: ${why}`, { cause });

export interface PermitCheckOptions {
  keys: KeyRing;
  now: () => number;
  /** Since when this runner follows the kills and remembers used permits, in milliseconds since the epoch. */
  since: number;
}

export const createPermitCheck = ({ keys, now, since }: PermitCheckOptions): PermitCheck => {
  const cache = createSealCache();
  return (ask) => {
    const { claims, seal } = ask.permit;
    const verdict = verifySeal({
      domain: permitDomain,
      lines: permitLines,
      leaf: canonical(claims),
      seal,
      keys,
      cache,
    });
    if (!verdict.ok) throw refused('policy did not sign it', verdict);
    refuseOtherCall(ask, claims);
    refuseOtherTime(ask, claims, now());
    // A permit of before could have been used by the process that was here before, which took its memory along.
    if (claims.issued_at < since)
      throw new AgentGateError('RUNNER_UNAVAILABLE', 'the tool-runner was started after this call was permitted');
    return claims;
  };
};

const refuseOtherCall = (ask: ExecuteAsk, claims: PermitClaims): void => {
  for (const field of ['call', 'tenant', 'agent', 'session', 'tool'] as const) {
    if (claims[field] !== ask[field]) throw refused(`it is for another ${field}`);
  }
  if (claims.call_digest !== callDigest(ask)) throw refused('it is for another call');
};

/** Over what arrived here, not over what somebody says arrived. */
const callDigest = ({ agent, arguments: args, call, session, tenant, tool }: ExecuteAsk): string => {
  try {
    return sha256Hex(canonical({ agent, arguments: args, call, session, tenant, tool }));
  } catch (cause) {
    throw new AgentGateError('FIELD_INVALID', '/arguments: not JSON that has a canonical form', { cause });
  }
};

const refuseOtherTime = (ask: ExecuteAsk, claims: PermitClaims, at: number): void => {
  if (at >= Math.min(claims.deadline, ask.deadline))
    throw new AgentGateError('TIMEOUT', 'the deadline of the call has passed');
  if (at >= claims.expires_at) throw refused('it has expired');
  if (at < claims.issued_at - clockSkewMs) throw refused('it is not valid yet');
  // Used permits are remembered for as long as a permit may live, and no longer.
  if (claims.expires_at - claims.issued_at > limits.permitTtlMs)
    throw refused(`it lives longer than ${limits.permitTtlMs} ms`);
};
