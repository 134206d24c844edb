import { AgentGateError, type ExecuteAsk, type PermitClaims } from '@agentgate/contracts';
import { canonical, type KeyRing, sha256Hex } from '@agentgate/evidence';
import { createPermitSeal, permitRefused, refuseOtherTime } from '@agentgate/runtime';

/** Whether policy allowed exactly this call, now. Ingress may be compromised, so nothing it says is believed without this. */
export type PermitCheck = (ask: ExecuteAsk) => PermitClaims;

export interface PermitCheckOptions {
  keys: KeyRing;
  now: () => number;
  /** Since when this runner follows the kills and remembers used permits, in milliseconds since the epoch. */
  since: number;
  /** For how long it does, in milliseconds, by a clock that nobody sets. */
  upMs: () => number;
}

export const createPermitCheck = ({ keys, now, since, upMs }: PermitCheckOptions): PermitCheck => {
  const signed = createPermitSeal(keys);
  return (ask) => {
    const claims = signed(ask.permit);
    refuseOtherCall(ask, claims);
    refuseOtherTime(claims, now(), ask.deadline);
    // A permit of before could have been used by the process that was here before, which took its memory along. Where the clock was set
    // back meanwhile, our start is earlier by what it says now: by the old word every permit would be one of before until it caught up.
    if (claims.issued_at < Math.min(since, now() - upMs()))
      throw new AgentGateError('RUNNER_UNAVAILABLE', 'the tool-runner was started after this call was permitted');
    return claims;
  };
};

const refuseOtherCall = (ask: ExecuteAsk, claims: PermitClaims): void => {
  for (const field of ['call', 'tenant', 'agent', 'session', 'tool'] as const) {
    if (claims[field] !== ask[field]) throw permitRefused(`it is for another ${field}`);
  }
  if (claims.call_digest !== callDigest(ask)) throw permitRefused('it is for another call');
};

/** Over what arrived here, not over what somebody says arrived. */
const callDigest = ({ agent, arguments: args, call, session, tenant, tool }: ExecuteAsk): string => {
  try {
    return sha256Hex(canonical({ agent, arguments: args, call, session, tenant, tool }));
  } catch (cause) {
    throw new AgentGateError('FIELD_INVALID', '/arguments: not JSON that has a canonical form', { cause });
  }
};
