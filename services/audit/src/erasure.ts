import {
  AgentGateError,
  type DisclosureScope,
  type DisclosuresAnswer,
  type EraseAnswer,
  type EventDraft,
  type holdAnswer,
  type LegalHold,
  type releaseHoldAnswer,
} from '@agentgate/contracts';
import type { DisclosedEvent } from '@agentgate/evidence';
import type { z } from 'zod';

export interface Hold {
  hold: string;
  scope: DisclosureScope;
  reason: string;
  by: string;
  /** Milliseconds since the epoch. */
  at: number;
}

type ActName = 'evidence.erased' | 'evidence.held' | 'evidence.released';
/** What a person did to disclosures, as evidence has to tell it. */
export type Act = { [N in ActName]: EventDraft<N> }[ActName];

export interface Whose {
  tenant?: string;
  agent?: string;
  session?: string;
}

export type KeptDisclosure =
  | { field: string; isErased: true }
  | { field: string; isErased: false; salt: string; value?: unknown };

/** The side store's disk. Everything that writes is called within `transaction`; nothing of one that throws stays. */
export interface DisclosureStore {
  transaction<T>(work: () => T): T;
  keep(disclosed: readonly DisclosedEvent[]): void;
  of(event: string): KeptDisclosure[];
  /** Whose they are, as far as all of this scope are the same's. */
  whose(scope: DisclosureScope): Whose;
  /** The holds that cover something of this scope which is not erased yet. */
  holdsOn(scope: DisclosureScope): string[];
  /** Overwrites what is kept; for how many events. */
  erase(scope: DisclosureScope): number;
  /** Takes what was overwritten out of the journal, too. Throws where it cannot. Not within a transaction. */
  forget(): void;
  addHold(hold: Hold): void;
  /** Its scope; undefined where there is no such hold, or none any more. */
  releaseHold(hold: string): DisclosureScope | undefined;
  holds(): Hold[];
  /** Its row. */
  addAct(act: Act): number;
  untold(limit: number): { row: number; act: Act }[];
  setTold(row: number, event: string): void;
  close(): void;
}

export interface Erasure {
  /** What opens an event's digests. Rejects, and tells nothing, unless evidence says who asked. */
  disclose(by: string, event: string): Promise<DisclosuresAnswer>;
  erase(by: string, scope: DisclosureScope, reason: string): Promise<EraseAnswer>;
  hold(by: string, scope: DisclosureScope, reason: string): Promise<z.infer<typeof holdAnswer>>;
  release(by: string, hold: string, reason: string): Promise<z.infer<typeof releaseHoldAnswer>>;
  holds(): LegalHold[];
  /** Finishes what could not be at once: the journal of an erasure, and acts that evidence does not know yet. To be called now and then. */
  tell(): Promise<void>;
}

interface ErasureOptions {
  store: DisclosureStore;
  record(draft: EventDraft<'evidence.disclosed'> | Act): Promise<string>;
  now: () => number;
  newHold: () => string;
  onUntold: (error: unknown) => void;
}

const maxHolds = 1_000;
const holdsTold = 64;
const atATime = 16;

/**
 * What people may do to the disclosures. Each act and the note that evidence has to tell it are one transaction: whoever erased, held or
 * released is told however the process ends; killed between the event and its note, it is told twice.
 */
export const createErasure = ({ store, record, now, newHold, onUntold }: ErasureOptions): Erasure => {
  let telling: Promise<Map<number, string>> | undefined;
  const tellUntold = async () => {
    const told = new Map<number, string>();
    for (let rows = store.untold(atATime); rows.length > 0; rows = store.untold(atATime)) {
      for (const { row, act } of rows) {
        const event = await record(act);
        store.transaction(() => store.setTold(row, event));
        told.set(row, event);
      }
    }
    return told;
  };
  const tell = () => {
    telling ??= tellUntold().finally(() => {
      telling = undefined;
    });
    return telling;
  };
  /** The event that tells of this act, if evidence takes it now. */
  const toldNow = async (act: number): Promise<{ event?: string }> => {
    try {
      // One that runs already may have begun before this act.
      const event = (await telling)?.get(act) ?? (await tell()).get(act);
      return event === undefined ? {} : { event };
    } catch (error) {
      onUntold(error);
      return {};
    }
  };
  /** Also at the start: a crash may have come between an erasure and its journal. */
  let isJournalled = true;
  const forget = () => {
    if (!isJournalled) return;
    try {
      store.forget();
    } catch (cause) {
      throw new AgentGateError(
        'EVIDENCE_UNAVAILABLE',
        'it is erased, but another process reads disclosures.db: its journal still holds it, and is emptied as soon as that process ends',
        { cause },
      );
    }
    isJournalled = false;
  };
  const keptOf = (found: readonly KeptDisclosure[]) =>
    found.flatMap(({ isErased, ...rest }) =>
      isErased ? [] : [rest as { field: string; salt: string; value?: unknown }],
    );

  /** So that whoever looks for a session or an agent in evidence finds what was done to it. */
  const whoseOf = (scope: DisclosureScope): Whose => {
    if (scope.kind === 'agent') return { tenant: scope.tenant ?? 'default', agent: scope.id };
    return scope.kind === 'session' ? { ...store.whose(scope), session: scope.id } : store.whose(scope);
  };

  return {
    disclose: async (by, event) => {
      const found = store.of(event);
      const fields = keptOf(found).map(({ field }) => field);
      if (fields.length === 0) return { v: 1, status: found.length > 0 ? 'erased' : 'none', disclosures: [] };
      const whose = store.whose({ kind: 'event', id: event });
      await record({ name: 'evidence.disclosed', subject: event, ...whose, data: { event, fields, by } });
      // Read again: it may have been erased while evidence was told.
      const disclosures = keptOf(store.of(event));
      return { v: 1, status: disclosures.length > 0 ? 'kept' : 'erased', disclosures };
    },
    erase: async (by, scope, reason) => {
      const done = store.transaction(() => {
        const holds = store.holdsOn(scope);
        if (holds.length > 0) return { status: 'held' as const, events: 0, holds: holds.slice(0, holdsTold) };
        const events = store.erase(scope);
        if (events === 0) return { status: 'nothing' as const, events, holds: [] };
        const act = store.addAct({
          name: 'evidence.erased',
          subject: scope.id,
          ...whoseOf(scope),
          data: { scope, events, reason, by },
        });
        isJournalled = true;
        return { status: 'erased' as const, events, holds: [], act };
      });
      // Who asks again after a failure must not be told that nothing is there.
      if (done.status !== 'held') forget();
      const { act, ...answer } = { act: undefined, ...done };
      return { v: 1, ...answer, ...(act !== undefined && (await toldNow(act))) };
    },
    hold: async (by, scope, reason) => {
      const hold = newHold();
      const act = store.transaction(() => {
        if (store.holds().length >= maxHolds) return undefined;
        store.addHold({ hold, scope, reason, by, at: now() });
        return store.addAct({
          name: 'evidence.held',
          subject: scope.id,
          ...whoseOf(scope),
          data: { hold, scope, reason, by },
        });
      });
      return act === undefined ? { v: 1, status: 'too_many' } : { v: 1, status: 'held', hold, ...(await toldNow(act)) };
    },
    release: async (by, hold, reason) => {
      const act = store.transaction(() => {
        const released = store.releaseHold(hold);
        return (
          released &&
          store.addAct({
            name: 'evidence.released',
            subject: released.id,
            ...whoseOf(released),
            data: { hold, scope: released, reason, by },
          })
        );
      });
      return act === undefined ? { v: 1, status: 'not_found' } : { v: 1, status: 'released', ...(await toldNow(act)) };
    },
    holds: () => store.holds().map(({ at, ...hold }) => ({ ...hold, at: new Date(at).toISOString() })),
    tell: async () => {
      await tell();
      forget();
    },
  };
};
