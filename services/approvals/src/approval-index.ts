import { type ApprovalRecord, type CallIdentity, coveringKeys, type Scope, scopeKey } from '@agentgate/contracts';
import type { Held } from './ports.ts';

/**
 * Approvals that are not at their end, as the bucket tells them. It serves listing, sweeping and voiding, and may be a moment behind;
 * every change of state rests on the bucket's compare-and-set alone.
 */
export interface ApprovalIndex {
  put(held: Held): void;
  drop(id: string, revision: number): void;
  /** The pending one for the same call, if there is one. */
  pendingFor(binding: string): Held | undefined;
  /** How many of an agent's are pending. */
  pendingOf(agent: { tenant: string; agent: string }): number;
  /** Pending, the oldest first. */
  pending(tenant: string | undefined): ApprovalRecord[];
  /** Pending or granted, and past their time. */
  overdue(now: number): Held[];
  coveredBy(scope: Scope): Held[];
  /** Arguments of the last call that was granted to this agent with this tool. */
  lastGranted(of: { tenant: string; agent: string; tool: string }): Record<string, unknown> | undefined;
  size(): number;
}

/** Kept for "what changed since"; the oldest go first. */
const maxRemembered = 1_000;

export const isOpen = ({ state }: ApprovalRecord): boolean => state === 'pending' || state === 'granted';
export const identityOf = ({ question }: ApprovalRecord): CallIdentity => question;

export const createApprovalIndex = (): ApprovalIndex => {
  const byId = new Map<string, Held>();
  const pendingByBinding = new Map<string, string>();
  const pendingByAgent = new Map<string, Set<string>>();
  const granted = new Map<string, Record<string, unknown>>();
  const setPending = ({ id, binding, question }: ApprovalRecord) => {
    pendingByBinding.set(binding, id);
    const agent = agentKey(question);
    pendingByAgent.set(agent, (pendingByAgent.get(agent) ?? new Set()).add(id));
  };
  const setDecided = ({ id, binding, question }: ApprovalRecord) => {
    if (pendingByBinding.get(binding) === id) pendingByBinding.delete(binding);
    const agent = agentKey(question);
    const ids = pendingByAgent.get(agent);
    if (ids?.delete(id) && ids.size === 0) pendingByAgent.delete(agent);
  };
  /** Revisions of what ended, so that a late word of the time before does not bring it back. */
  const drop = (id: string, revision: number) => {
    const known = byId.get(id);
    if (!known || known.revision > revision) return;
    byId.delete(id);
    setDecided(known.record);
  };
  const remember = ({ question }: ApprovalRecord) => {
    const key = grantedKey(question);
    granted.delete(key);
    granted.set(key, question.arguments);
    for (const oldest of granted.keys()) {
      if (granted.size <= maxRemembered) break;
      granted.delete(oldest);
    }
  };
  return {
    put: (held) => {
      const { record, revision } = held;
      const known = byId.get(record.id);
      if (known && known.revision >= revision) return;
      if (record.state === 'granted' || record.state === 'consumed') remember(record);
      if (!isOpen(record)) return drop(record.id, revision);
      byId.set(record.id, held);
      if (record.state === 'pending') setPending(record);
      else setDecided(record);
    },
    drop,
    pendingFor: (binding) => {
      const id = pendingByBinding.get(binding);
      return id === undefined ? undefined : byId.get(id);
    },
    pendingOf: (agent) => pendingByAgent.get(agentKey(agent))?.size ?? 0,
    pending: (tenant) =>
      [...byId.values()]
        .map(({ record }) => record)
        .filter(({ state, question }) => state === 'pending' && (tenant === undefined || question.tenant === tenant))
        .sort((a, b) => (a.requested_at < b.requested_at ? -1 : 1)),
    overdue: (now) => [...byId.values()].filter(({ record }) => Date.parse(record.expires_at) <= now),
    coveredBy: (scope) => {
      const key = scopeKey(scope);
      return [...byId.values()].filter(({ record }) => coveringKeys(identityOf(record)).includes(key));
    },
    lastGranted: (of) => granted.get(grantedKey(of)),
    size: () => byId.size,
  };
};

const agentKey = ({ tenant, agent }: { tenant: string; agent: string }) => `${tenant}/${agent}`;
const grantedKey = ({ tool, ...who }: { tenant: string; agent: string; tool: string }) => `${agentKey(who)} ${tool}`;
