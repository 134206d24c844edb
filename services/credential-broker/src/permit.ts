import type { Permit, PermitClaims } from '@agentgate/contracts';
import type { KeyRing } from '@agentgate/evidence';
import { createPermitSeal, refuseOtherTime } from '@agentgate/runtime';

/** Whether policy allowed this call, now. The broker asks nobody: it verifies the signature and the times itself. */
export type PermitCheck = (permit: Permit) => PermitClaims;

export const createPermitCheck = ({ keys, now }: { keys: KeyRing; now: () => number }): PermitCheck => {
  const signed = createPermitSeal(keys);
  return (permit) => {
    const claims = signed(permit);
    refuseOtherTime(claims, now());
    return claims;
  };
};
