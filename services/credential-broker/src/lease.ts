import { type LeaseAsk, type LeaseRecord, leaseRecord, type PermitClaims } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';

/** A lease record and the revision that the next write must name. Revision 0 is a reservation that is not written yet. */
export interface HeldLease {
  record: LeaseRecord;
  revision: number;
}

/** What a permit is turned into: the credential it names, where it comes from and how long it may last. */
export interface LeaseTerms {
  credential: string;
  provider: string;
  scope: string | undefined;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/**
 * `tenant/agent/session/call/provider/n`, where `n` is the permit's id: a permit yields at most one lease, so every
 * part is of the signed claims, the id needs no counter, and no two leases share one.
 */
export const leaseId = (claims: PermitClaims, provider: string): string =>
  [claims.tenant, claims.agent, claims.session, claims.call, provider, claims.id].join('/');

export const intendedLease = (ask: LeaseAsk, claims: PermitClaims, terms: LeaseTerms, now: number): LeaseRecord =>
  leaseRecord.parse({
    v: 1,
    id: leaseId(claims, terms.provider),
    provider: terms.provider,
    credential: terms.credential,
    ...(terms.scope === undefined ? {} : { scope: terms.scope }),
    tenant: claims.tenant,
    agent: claims.agent,
    session: claims.session,
    tool: claims.tool,
    call: claims.call,
    permit: claims.id,
    permit_digest: sha256Hex(canonical(claims)),
    runner: ask.runner,
    state: 'intended',
    created_at: new Date(now).toISOString(),
    expires_at: new Date(terms.expiresAt).toISOString(),
  });

export const expiryOf = (record: LeaseRecord): number => Date.parse(record.expires_at);

/** Whether the lease may still be out: somebody has to end it. */
export const isOpen = (record: LeaseRecord): boolean => {
  switch (record.state) {
    case 'intended':
    case 'active':
    case 'revoking':
      return true;
    case 'revoked':
    case 'expired':
    case 'irrevocable':
      return false;
    default:
      return record.state satisfies never;
  }
};
