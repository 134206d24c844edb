import type { HeldRecord } from '@agentgate/bus';
import { type LeaseAsk, type LeaseRecord, leaseRecord, type PermitClaims } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';

/** A lease record and the revision that the next write must name. Revision 0 is a reservation that is not written yet. */
export type HeldLease = HeldRecord<LeaseRecord>;

/** What a permit is turned into: the credential it names, where it comes from and how long it may last. */
export interface LeaseTerms {
  credential: string;
  provider: LeaseRecord['provider'];
  scope: string | undefined;
  reuse: LeaseRecord['reuse'];
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/**
 * `tenant/agent/session/call/provider/n`, where `n` is the permit's id: a permit yields at most one lease, so every
 * part is of the signed claims, the id needs no counter, and no two leases share one.
 */
export const leaseId = (claims: PermitClaims, provider: string): string =>
  [claims.tenant, claims.agent, claims.session, claims.call, provider, claims.id].join('/');

/** Whether a lease is this one, or of those that share these first parts of its id. */
export const isUnder = (lease: string, prefix: string): boolean => lease === prefix || lease.startsWith(`${prefix}/`);

export const intendedLease = (
  { runner, digest }: Pick<LeaseAsk, 'runner'> & { digest?: string | undefined },
  claims: PermitClaims,
  terms: LeaseTerms,
  now: number,
): LeaseRecord =>
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
    permit_digest: digest ?? sha256Hex(canonical(claims)),
    ...(claims.subject === undefined ? {} : { subject: claims.subject }),
    runner,
    reuse: terms.reuse,
    state: 'intended',
    created_at: new Date(now).toISOString(),
    expires_at: new Date(terms.expiresAt).toISOString(),
  });

export const expiryOf = (record: LeaseRecord): number => Date.parse(record.expires_at);

/** Whether the lease may still be out: somebody has to end it. */
export const isOpen = (record: LeaseRecord): boolean => record.state !== 'revoked' && record.state !== 'expired';

/** A lease that was never activated so long after it was begun was left by a broker that died: nobody was given it. */
const abandonedMs = 30_000;

/** Why a lease is to be ended now without anybody asking; undefined where it is not. */
export const dueFor = ({ state, ending, created_at, ...record }: LeaseRecord, now: number) => {
  switch (state) {
    case 'active':
      return now >= Date.parse(record.expires_at) ? 'expired' : undefined;
    case 'intended':
      return now >= Math.min(Date.parse(record.expires_at), Date.parse(created_at) + abandonedMs) ? 'swept' : undefined;
    case 'revoking':
      return ending === undefined || now >= Date.parse(ending.next_at) ? (ending?.why ?? 'swept') : undefined;
    case 'revoked':
    case 'expired':
    case 'irrevocable':
      return undefined;
    default:
      return state satisfies never;
  }
};
