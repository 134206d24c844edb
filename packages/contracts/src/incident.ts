import { z } from 'zod';
import { eventId, incidentId, name, sessionId, timestamp } from './names.ts';
import { killReceipt, scope } from './operator.ts';

// An incident: what the gate stopped by itself, why, and what became of it. The value of a key of KV bucket INCIDENTS.

const v = z.literal(1);
export const incidentKind = z.enum(['denials', 'canary', 'breaker', 'anomaly', 'risk']);
export type IncidentKind = z.infer<typeof incidentKind>;

/** What an automatic order may cover: never a tenant, never everything. */
export const automaticScope = z.union([scope.options[0], scope.options[1], scope.options[2]]);
export type AutomaticScope = z.infer<typeof automaticScope>;

/** `contained: false` is an alarm: the order stands, and something of it is not proven. */
export const incidentState = z.enum(['open', 'contained', 'not_contained', 'released']);
export type IncidentState = z.infer<typeof incidentState>;

const reason = z.string().max(512);
/** The events that led to an order; the newest, where there were more. */
export const ledBy = z.array(eventId).max(32);

export const incidentNote = z.strictObject({
  at: timestamp,
  /** An operator's own words, and who said them. */
  by: z.string().max(128),
  text: z.string().max(1024),
});
export const incidentRecord = z.strictObject({
  v,
  id: incidentId,
  rule: name,
  kind: incidentKind,
  scope: automaticScope,
  tenant: name,
  agent: name.optional(),
  session: sessionId.optional(),
  reason,
  events: ledBy,
  /** When the last of them happened. */
  caused_at: timestamp,
  opened_at: timestamp,
  state: incidentState,
  /** The kill-switch's signed receipt. Without `calls` where it names more than 400: evidence has it whole. */
  receipt: killReceipt.partial({ calls: true, signature: true }).optional(),
  received_at: timestamp.optional(),
  /** Why there is no receipt yet. */
  problem: z.string().max(512).optional(),
  notes: z.array(incidentNote).max(64),
  released: z.strictObject({ at: timestamp, by: z.string().max(128), reason, epoch: z.int().min(1) }).optional(),
  /** Events about the incident itself. */
  evidence: z.strictObject({
    opened: eventId.optional(),
    ordered: eventId.optional(),
    contained: z.array(eventId).max(64).optional(),
    failed: eventId.optional(),
    released: eventId.optional(),
  }),
});
export type IncidentRecord = z.infer<typeof incidentRecord>;

/** Without `id`: those that are not released, the newest first; with `all`, the released ones of the last 90 days, too. */
export const incidentsAsk = z.strictObject({ v, id: incidentId.optional(), all: z.boolean().optional() });
export type IncidentsAsk = z.infer<typeof incidentsAsk>;
/** `more` are left out of the answer. */
export const incidentsAnswer = z.strictObject({
  v,
  incidents: z.array(incidentRecord).max(1_024),
  more: z.int().min(1).optional(),
});
export type IncidentsAnswer = z.infer<typeof incidentsAnswer>;

/** Lifts the incident's kill, as `lift` does; the incident is released once that is in evidence. */
export const releaseAsk = z.strictObject({ v, incident: incidentId, reason: reason.min(1) });
export const noteAsk = z.strictObject({ v, incident: incidentId, text: z.string().min(1).max(1024) });
export const noteAnswer = z.strictObject({ v, status: z.enum(['noted', 'not_found', 'full']) });
export type NoteAnswer = z.infer<typeof noteAnswer>;
