import type { IncidentRecord } from '@agentgate/contracts';
import type { Held } from './ports.ts';

/** All incidents that the bucket holds, as this instance follows it. */
export interface IncidentIndex {
  put(held: Held): void;
  drop(id: string, revision: number): void;
  get(id: string): IncidentRecord | undefined;
  /** The newest first. */
  all(): IncidentRecord[];
  count(is: (record: IncidentRecord) => boolean): number;
}

export const createIncidentIndex = (): IncidentIndex => {
  const held = new Map<string, Held>();
  return {
    put: (one) => {
      if ((held.get(one.record.id)?.revision ?? 0) < one.revision) held.set(one.record.id, one);
    },
    drop: (id, revision) => {
      if ((held.get(id)?.revision ?? 0) < revision) held.delete(id);
    },
    get: (id) => held.get(id)?.record,
    all: () => [...held.values()].map(({ record }) => record).sort((a, b) => (a.opened_at < b.opened_at ? 1 : -1)),
    count: (is) => [...held.values()].filter(({ record }) => is(record)).length,
  };
};
