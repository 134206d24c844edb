import {
  gateTenant,
  type ListingPermit,
  listingAgent,
  listingTool,
  type Permit,
  type PermitClaims,
} from '@agentgate/contracts';
import { canonical, type KeyRing, sha256Hex } from '@agentgate/evidence';
import { createListingSeal, createPermitSeal, refuseOtherTime } from '@agentgate/runtime';

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

/** What a lease is made for: the claims of a call's permit, or what stands for them where the gate itself reads a list of tools. */
export interface Permitted {
  claims: PermitClaims;
  /** SHA-256 over the canonical form of what policy signed. */
  digest: string;
}

/** Whether policy lets the runner read a server's list of tools now. */
export type ListingCheck = (permit: ListingPermit) => Permitted;

export const createListingCheck = ({ keys, now }: { keys: KeyRing; now: () => number }): ListingCheck => {
  const signed = createListingSeal(keys);
  return (permit) => {
    const listing = signed(permit);
    refuseOtherTime(listing, now());
    const { id, server, credential, issued_at, expires_at, deadline, policy } = listing;
    const digest = sha256Hex(canonical(listing));
    const unique = id.slice('prm_'.length);
    return {
      digest,
      // Nobody's call: its lease stands under the gate's own name, and a kill of everything, or of this name, covers it.
      claims: {
        v: 1,
        id,
        call: `call_${unique}`,
        call_digest: digest,
        tenant: gateTenant,
        agent: listingAgent,
        session: `ses_${unique}`,
        tool: listingTool(server),
        policy,
        // A list is of no tool's definition.
        schema_digest: '0'.repeat(64),
        issued_at,
        expires_at,
        deadline,
        obligations: { credential },
      },
    };
  };
};
