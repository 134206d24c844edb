import type { Log } from '@agentgate/bus';
import {
  AgentGateError,
  type EventDraft,
  type IncidentRecord,
  type IncidentsAnswer,
  type IncidentsAsk,
  type KillReceipt,
  type KillRecord,
  type NoteAnswer,
  type noteAsk,
  scopeKey,
  toAgentGateError,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { IncidentIndex } from './incident-index.ts';
import type { Evidence, IncidentEvent, Order, Records } from './ports.ts';
import type { Trigger } from './watch-state.ts';

// What is stopped, and what became of it. Every step is written by compare-and-set and may be taken twice, by this instance or another:
// the order is the incident's own (the kill-switch gives one for it, however often it is asked).

export interface Incidents {
  /** Resolves once somebody has the incident in hand, and nothing of it can be lost any more. */
  open(trigger: Trigger): Promise<void>;
  /** Goes on with what somebody began and did not end. */
  sweep(): Promise<void>;
  /** The scope is killed no more. */
  lifted(lift: Lift): Promise<void>;
  list(ask: IncidentsAsk): IncidentsAnswer;
  note(by: string, ask: z.infer<typeof noteAsk>): Promise<NoteAnswer>;
}

export type Lift = Pick<KillRecord, 'scope' | 'by' | 'reason' | 'at' | 'incident'> & { epoch: number };

export interface IncidentsDeps {
  records: Records;
  index: IncidentIndex;
  order: Order;
  evidence: Evidence;
  now: () => number;
  log: Log;
  /** Hears how each order ended. */
  onOrder?: (kind: Trigger['kind'], how: 'contained' | 'not_contained' | 'failed') => void;
}

const attempts = 8;
/** Whoever opened an incident has so long before another instance goes on with it. */
const takeOverMs = 5_000;
const sweepAtOnce = 16;
/** A receipt that names more calls stands whole in evidence alone. */
const callsKept = 400;
const notesMost = 64;
const listBytesMax = 4 * 1024 * 1024;

const isDone = ({ state, evidence }: IncidentRecord): boolean =>
  state !== 'open' &&
  evidence.opened !== undefined &&
  evidence.contained !== undefined &&
  (state !== 'released' || evidence.released !== undefined);

export const createIncidents = (deps: IncidentsDeps): Incidents => {
  const { records, index, evidence, log, now } = deps;
  const timestamp = () => new Date(now()).toISOString();
  /** When this instance last worked on an incident. */
  const touched = new Map<string, number>();
  /** The last lift of each scope: it may be known before the receipt of what it lifts. */
  const lifts = new Map<string, Lift>();

  /** Undefined where there is no such incident. `next` may be asked several times; where it gives nothing there is nothing to write. */
  const change = async (
    id: string,
    next: (record: IncidentRecord) => IncidentRecord | undefined,
  ): Promise<IncidentRecord | undefined> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const held = await records.read(id);
      if (!held) return undefined;
      const record = next(held.record);
      if (!record) return held.record;
      const revision = await records.update(record, held.revision);
      if (revision === 'conflict') continue;
      index.put({ record, revision });
      return record;
    }
    throw new AgentGateError('INTERNAL', `incident ${id} is being changed by too many at once`);
  };
  const tell = <N extends IncidentEvent>(name: N, record: IncidentRecord, data: object): Promise<string> =>
    evidence.record({
      name,
      subject: record.id,
      tenant: record.tenant,
      ...(record.agent !== undefined && { agent: record.agent }),
      ...(record.session !== undefined && { session: record.session }),
      data: { incident: record.id, scope: record.scope, ...data } as EventDraft<N>['data'],
    });

  const tellOpened = async (record: IncidentRecord): Promise<void> => {
    if (record.evidence.opened !== undefined) return;
    const { id, rule, kind, reason, events } = record;
    const opened = await tell('incident.opened', record, { rule, kind, reason, events });
    await change(id, (r) => ({ ...r, evidence: { ...r.evidence, opened } }));
  };

  const order = async (record: IncidentRecord): Promise<void> => {
    const { id, kind, scope, reason, events } = record;
    const { receipt, evidence: told } = await deps.order({ scope, reason, events, incident: id });
    const { contained } = receipt;
    await change(id, ({ problem: _, ...r }) => ({
      ...r,
      state: r.state === 'released' ? r.state : contained ? 'contained' : 'not_contained',
      receipt: keptOf(receipt),
      received_at: timestamp(),
      evidence: { ...r.evidence, ...(told.ordered !== undefined && { ordered: told.ordered }) },
    }));
    deps.onOrder?.(kind, contained ? 'contained' : 'not_contained');
    if (!contained) log.error({ incident: id, scope, epoch: receipt.epoch }, 'an automatic kill is NOT contained');
    await tellContained(record, receipt, told.contained);
  };
  const tellContained = async (record: IncidentRecord, receipt: Receipt, parts: string[]): Promise<void> => {
    const { epoch, contained, contained_in_ms, points, leases } = receipt;
    const silent = points.flatMap((p) => (p.confirmed_in_ms === null ? [`${p.service}/${p.instance}`] : []));
    const event = await tell('incident.contained', record, {
      epoch,
      contained,
      contained_in_ms,
      silent,
      irrevocable: leases.irrevocable,
    });
    await change(record.id, (r) => ({ ...r, evidence: { ...r.evidence, contained: [...parts, event].slice(-64) } }));
  };
  const tellReleased = async (record: IncidentRecord): Promise<void> => {
    if (!record.released) return;
    const { epoch, reason, by } = record.released;
    const released = await tell('incident.released', record, { epoch, reason, by });
    await change(record.id, (r) => ({ ...r, evidence: { ...r.evidence, released } }));
  };

  /** Whatever is still to be done for an incident. */
  const work = async (record: IncidentRecord): Promise<void> => {
    touched.set(record.id, now());
    const steps = [tellOpened(record)];
    if (record.state === 'open') steps.push(order(record));
    else if (record.evidence.contained === undefined && record.receipt)
      steps.push(tellContained(record, record.receipt, []));
    if (record.state === 'released' && record.evidence.released === undefined) steps.push(tellReleased(record));
    const failed = (await Promise.allSettled(steps)).find((step) => step.status === 'rejected');
    if (!failed) return;
    const { message } = toAgentGateError(failed.reason);
    log.error({ err: failed.reason, incident: record.id, scope: record.scope }, 'an incident is not dealt with yet');
    if (record.state === 'open') await failure(record, message);
  };
  /** No receipt came: nobody may take this for a success. */
  const failure = async ({ id, kind }: IncidentRecord, problem: string): Promise<void> => {
    const now_ = await change(id, (r) => (r.receipt ? undefined : { ...r, problem: problem.slice(0, 512) }));
    if (!now_ || now_.receipt) return;
    deps.onOrder?.(kind, 'failed');
    if (now_.evidence.failed !== undefined) return;
    const failed = await tell('incident.failed', now_, { problem: problem.slice(0, 512) });
    await change(id, (r) => ({ ...r, evidence: { ...r.evidence, failed } }));
  };
  const releaseLifted = async (key: string): Promise<void> => {
    const lift = lifts.get(key);
    if (!lift) return;
    const { at, by, reason, epoch, incident } = lift;
    // Its own order was lifted before its receipt was here: asked for again, it would stop whom an operator has released.
    const isOver = (r: IncidentRecord) =>
      r.state !== 'released' &&
      scopeKey(r.scope) === key &&
      (r.receipt === undefined ? r.id === incident : r.receipt.epoch < epoch);
    for (const { id } of index.all().filter(isOver)) {
      let isOurs = false;
      const record = await change(id, (r) => {
        isOurs = isOver(r);
        return isOurs ? { ...r, state: 'released', released: { at, by, reason, epoch } } : undefined;
      });
      if (record && isOurs) await work(record);
    }
  };
  const releaseAll = async (): Promise<void> => {
    const unreleased = index.all().filter(({ state }) => state !== 'released');
    for (const key of new Set(unreleased.map(({ scope }) => scopeKey(scope)))) await releaseLifted(key);
  };
  const inBackground = (record: IncidentRecord): void =>
    void work(record).catch((error: unknown) =>
      log.error({ err: error, incident: record.id }, 'an incident is not dealt with yet'),
    );

  return {
    open: async (trigger) => {
      const record = recordOf(trigger, timestamp());
      // Nobody has taken an earlier order for it yet: that one is asked for again, and one incident is enough.
      const key = scopeKey(record.scope);
      if (index.all().some((r) => r.state === 'open' && r.id !== record.id && scopeKey(r.scope) === key)) return;
      touched.set(record.id, now());
      let revision: number | 'conflict';
      try {
        revision = await records.create(record);
      } catch (error) {
        // Stopping it comes before writing down that it was stopped; the kill-switch gives one order for it however often it is asked.
        await deps.order({ scope: record.scope, reason: record.reason, events: record.events, incident: record.id });
        throw error;
      }
      // Another instance has it in hand, or had it in an earlier life of this one.
      if (revision === 'conflict') return;
      index.put({ record, revision });
      log.warn({ incident: record.id, rule: record.rule, scope: record.scope }, 'a rule of containment is met');
      inBackground(record);
    },
    sweep: async () => {
      const left = index
        .all()
        .filter(
          (record) => !isDone(record) && now() - (touched.get(record.id) ?? Date.parse(record.opened_at)) > takeOverMs,
        );
      for (const id of touched.keys()) if (now() - (touched.get(id) ?? 0) > 10 * takeOverMs) touched.delete(id);
      await releaseAll();
      for (const { id } of left.slice(0, sweepAtOnce)) {
        const record = index.get(id);
        if (record && !isDone(record)) await work(record);
      }
      await releaseAll();
    },
    lifted: async (lift) => {
      lifts.set(scopeKey(lift.scope), lift);
      await releaseLifted(scopeKey(lift.scope));
    },
    list: ({ id, all }) => {
      const found = index
        .all()
        .filter((r) => (id === undefined ? all === true || r.state !== 'released' : r.id === id));
      let bytes = 0;
      const shown = found.slice(0, 1_024).filter((record) => {
        bytes += Buffer.byteLength(JSON.stringify(record));
        return bytes < listBytesMax;
      });
      const more = found.length - shown.length;
      return { v: 1, incidents: shown, ...(more > 0 && { more }) };
    },
    note: async (by, { incident, text }) => {
      const said = { at: timestamp(), by, text };
      let isFull = false;
      const record = await change(incident, (r) => {
        isFull = r.notes.length >= notesMost;
        return isFull ? undefined : { ...r, notes: [...r.notes, said] };
      });
      if (!record) return { v: 1, status: 'not_found' };
      if (isFull) return { v: 1, status: 'full' };
      await tell('incident.noted', record, { by, text });
      return { v: 1, status: 'noted' };
    },
  };
};

type Receipt = NonNullable<IncidentRecord['receipt']>;
const keptOf = (receipt: KillReceipt): Receipt => {
  if (receipt.calls.length <= callsKept) return receipt;
  const { calls: _, signature: _signature, ...rest } = receipt;
  return rest;
};

const recordOf = (trigger: Trigger, openedAt: string): IncidentRecord => {
  const { at, reason, id, agent, session, ...rest } = trigger;
  return {
    v: 1,
    ...rest,
    id,
    ...(agent !== undefined && { agent }),
    ...(session !== undefined && { session }),
    reason: `${reason}, incident ${id}`,
    caused_at: new Date(at).toISOString(),
    opened_at: openedAt,
    state: 'open',
    notes: [],
    evidence: {},
  };
};
