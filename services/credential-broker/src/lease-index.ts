import type { LeaseRecord } from '@agentgate/contracts';
import { expiryOf, type HeldLease, isOpen, isUnder } from './lease.ts';

/**
 * The leases of the LEASES bucket that somebody still has to end: this broker's own at once, those of other replicas as the
 * bucket tells them. It serves the caps and the sweep and may be a moment behind; single use and every change of state rest on
 * the bucket's compare-and-set alone.
 */
export interface LeaseIndex {
  /** Takes over a record unless a newer revision of it is known; one that ended is forgotten. */
  put(held: HeldLease): void;
  /** Forgets a record up to this revision. */
  drop(permit: string, revision: number): void;
  get(permit: string): HeldLease | undefined;
  /** Those that are written down. */
  all(): HeldLease[];
  /** The lease of this id, or those whose id begins with these parts. */
  under(prefix: string): HeldLease[];
  size(): number;
  inState(state: LeaseRecord['state']): number;
  /** Leases of one agent, and of one credential, that may still be out at `now`. */
  countOf(of: { tenant: string; agent: string } | { credential: string }, now: number): number;
  /** Hears of every record that ended, with its expiry still to come or not. */
  onEnded(hear: (record: LeaseRecord) => void): void;
}

/** Permits by something that many of them share. */
const createGroups = () => {
  const groups = new Map<string, Map<string, HeldLease>>();
  return {
    put: (group: string, held: HeldLease) => {
      const members = groups.get(group) ?? new Map<string, HeldLease>();
      groups.set(group, members.set(held.record.permit, held));
    },
    drop: (group: string, permit: string) => {
      const members = groups.get(group);
      members?.delete(permit);
      if (members?.size === 0) groups.delete(group);
    },
    count: (group: string, now: number): number => {
      let count = 0;
      for (const { record } of groups.get(group)?.values() ?? [])
        if (expiryOf(record) > now || record.state === 'revoking' || record.state === 'irrevocable') count++;
      return count;
    },
  };
};

export const createLeaseIndex = (): LeaseIndex => {
  const byPermit = new Map<string, HeldLease>();
  const groups = createGroups();
  const listeners: ((record: LeaseRecord) => void)[] = [];

  const drop = (permit: string, revision: number) => {
    const known = byPermit.get(permit);
    if (!known || known.revision > revision) return;
    byPermit.delete(permit);
    groups.drop(agentOf(known.record), permit);
    groups.drop(credentialOf(known.record), permit);
  };
  const all = () => [...byPermit.values()].filter(({ revision }) => revision > 0);

  return {
    put: (held) => {
      const { record, revision } = held;
      if (!isOpen(record)) for (const hear of listeners) hear(record);
      const known = byPermit.get(record.permit);
      if (known && known.revision >= revision) return;
      if (!isOpen(record)) return drop(record.permit, revision);
      byPermit.set(record.permit, held);
      groups.put(agentOf(record), held);
      groups.put(credentialOf(record), held);
    },
    drop,
    get: (permit) => byPermit.get(permit),
    all,
    under: (prefix) => all().filter(({ record }) => isUnder(record.id, prefix)),
    size: () => byPermit.size,
    inState: (state) => all().filter(({ record }) => record.state === state).length,
    countOf: (of, now) => groups.count('credential' in of ? credentialOf(of) : agentOf(of), now),
    onEnded: (hear) => void listeners.push(hear),
  };
};

const agentOf = ({ tenant, agent }: { tenant: string; agent: string }) => `agent ${tenant}/${agent}`;
const credentialOf = ({ credential }: { credential: string }) => `credential ${credential}`;
