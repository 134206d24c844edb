import { expiryOf, type HeldLease, isOpen } from './lease.ts';

/**
 * The leases of the LEASES bucket that somebody still has to end: this broker's own at once, those of other replicas as the
 * bucket tells them. It serves the cap and the sweep and may be a moment behind; single use and every change of state rest on
 * the bucket's compare-and-set alone.
 */
export interface LeaseIndex {
  /** Takes over a record unless a newer revision of it is known; one that ended is forgotten. */
  put(held: HeldLease): void;
  /** Forgets a record up to this revision. */
  drop(permit: string, revision: number): void;
  get(permit: string): HeldLease | undefined;
  all(): HeldLease[];
  size(): number;
  /** Leases of one agent that may still be out at `now`. */
  countOf(tenant: string, agent: string, now: number): number;
}

export const createLeaseIndex = (): LeaseIndex => {
  const byPermit = new Map<string, HeldLease>();
  const byAgent = new Map<string, Map<string, HeldLease>>();

  const drop = (permit: string, revision: number) => {
    const known = byPermit.get(permit);
    if (!known || known.revision > revision) return;
    byPermit.delete(permit);
    const agent = agentOf(known.record);
    const leases = byAgent.get(agent);
    leases?.delete(permit);
    if (leases?.size === 0) byAgent.delete(agent);
  };

  return {
    put: (held) => {
      const { permit } = held.record;
      const known = byPermit.get(permit);
      if (known && known.revision >= held.revision) return;
      if (!isOpen(held.record)) return drop(permit, held.revision);
      byPermit.set(permit, held);
      const agent = agentOf(held.record);
      byAgent.set(agent, (byAgent.get(agent) ?? new Map<string, HeldLease>()).set(permit, held));
    },
    drop,
    get: (permit) => byPermit.get(permit),
    all: () => [...byPermit.values()],
    size: () => byPermit.size,
    countOf: (tenant, agent, now) => {
      let count = 0;
      for (const { record } of byAgent.get(agentOf({ tenant, agent }))?.values() ?? [])
        if (expiryOf(record) > now) count++;
      return count;
    },
  };
};

const agentOf = ({ tenant, agent }: { tenant: string; agent: string }) => `${tenant}/${agent}`;
