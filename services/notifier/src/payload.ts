import { type AlertEvent, alertEventNames, alertEvents, eventSource, eventType } from '@agentgate/contracts';
import type { EvidenceEvent } from '@agentgate/evidence';

/** An event that is worth an alert, as it leaves: its name, its id, and the text that is signed. */
export interface Alert {
  name: AlertEvent;
  event: string;
  type: string;
  body: string;
}

const maxText = 200;
const maxSummary = 512;
const maxNamed = 8;

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** Cut, and without what shows nothing or turns a text around: it will be read in a chat or on a phone. */
export const plain = (text: string, max = maxText): string => {
  const shown = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ');
  return shown.length > max ? `${shown.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…` : shown;
};

/** What of an event's `data` may leave as it is: ids, names, times, counts, and words of people and services, cut. Anything else stays in evidence. */
const passed = [
  'epoch',
  'by',
  'reason',
  'expires_at',
  'ordered_at',
  'contained',
  'contained_in_ms',
  'approval',
  'call',
  'tool',
  'rule',
  'lease',
  'credential',
  'tries',
  'problem',
  'kind',
  'about',
  'detail',
  'why',
  'was',
  'accepted',
  'schema_digest',
  'incident',
] as const;

const scalar = (value: unknown): string | number | boolean | undefined => {
  if (typeof value === 'string') return plain(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
};
const defined = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
const pick = (from: Fields, names: readonly string[]): Fields =>
  defined(Object.fromEntries(names.map((name) => [name, Object.hasOwn(from, name) ? scalar(from[name]) : undefined])));

/** Of a receipt: how many, and by name only what did not do its part. */
const receiptCounts = (data: Fields): Fields => {
  const points = listOf(data.points).map(fieldsOf);
  const silent = points.filter((p) => p.confirmed_in_ms === null);
  const fates = listOf(data.calls).map((call) => String(fieldsOf(call).fate));
  const leases = fieldsOf(data.leases);
  const irrevocable = listOf(leases.irrevocable);
  return {
    points: {
      confirmed: points.length - silent.length,
      silent: silent.slice(0, maxNamed).map((p) => plain(`${String(p.service)}/${String(p.instance)}`)),
    },
    calls: Object.fromEntries(
      ['aborted', 'completed', 'unknown'].map((fate) => [fate, fates.filter((f) => f === fate).length]),
    ),
    leases: {
      revoked: scalar(leases.revoked),
      irrevocable: irrevocable.length,
      named: irrevocable.slice(0, maxNamed).map((lease) => plain(String(lease))),
    },
    approvals: pick(fieldsOf(data.approvals), ['voided']),
  };
};

/** Whom an incident's order did not reach, and what it did not end. */
const incidentCounts = (data: Fields): Fields => ({
  silent: listOf(data.silent)
    .slice(0, maxNamed)
    .map((point) => plain(String(point))),
  irrevocable: listOf(data.irrevocable).length,
});

const scopeText = (data: Fields): string => {
  const { kind, id } = fieldsOf(data.scope);
  return kind === 'global' ? 'everything' : `${String(kind)} ${String(id)}`;
};
const because = ({ by, reason }: Fields): string =>
  `${by === undefined ? '' : ` by ${String(by)}`}${reason === undefined ? '' : `: ${String(reason)}`}`;

/** One sentence for whoever is woken. */
const summaries: Record<AlertEvent, (data: Fields) => string> = {
  'kill.ordered': (d) => `${scopeText(d)} killed${because(d)}`,
  'kill.failed': (d) =>
    `MAY NOT BE KILLED: ${scopeText(d)}${because(d)}; give the order again, nobody knows whether it was written`,
  'kill.lift_asked': (d) => `${scopeText(d)}: a second operator has to lift it, too; asked${because(d)}`,
  'kill.lifted': (d) => `${scopeText(d)} lifted${because(d)}`,
  'kill.contained': (d) =>
    d.contained === true
      ? `${scopeText(d)} contained in ${String(d.contained_in_ms)} ms`
      : `NOT CONTAINED: ${scopeText(d)}; what did not answer or end is in the receipt`,
  'lease.irrevocable': (d) => `lease ${String(d.lease)} could not be ended: a person has to`,
  'approval.requested': (d) => `a person is asked about ${String(d.tool)}: ${String(d.reason)}`,
  'tool.changed': (d) => `tool ${String(d.tool)} is not what it was`,
  'tool.quarantined': (d) => `tool ${String(d.tool)} is quarantined`,
  'incident.opened': (d) => `incident ${String(d.incident)} opened${because(d)}`,
  'incident.contained': (d) =>
    `incident ${String(d.incident)}: ${d.contained === true ? '' : 'NOT CONTAINED: '}${scopeText(d)}`,
  'incident.failed': (d) => `incident ${String(d.incident)}: nobody took the order against ${scopeText(d)} yet`,
  'incident.released': (d) => `incident ${String(d.incident)} released${because(d)}`,
  'evidence.anomaly': (d) => `evidence: ${String(d.kind)}: ${String(d.about)}`,
};

const named = new Map<string, AlertEvent>(alertEventNames.map((name) => [eventType(name), name]));

/** The name of an event that is worth an alert; `unentitled` where its producer is none whose word counts for it. */
export const alertNameOf = ({ type, source }: EvidenceEvent): AlertEvent | 'unentitled' | undefined => {
  const name = named.get(type);
  if (name === undefined) return undefined;
  return alertEvents[name].some((service) => source.startsWith(eventSource(service, ''))) ? name : 'unentitled';
};

/** `{type, timestamp, data}`, the form of Standard Webhooks. `data.event` is where to look in evidence. */
export const alertOf = (name: AlertEvent, event: EvidenceEvent): Alert => {
  const { scope } = event.data;
  const data = {
    event: event.id,
    summary: plain(summaries[name](event.data), maxSummary),
    source: plain(event.source),
    subject: plain(event.subject),
    ...defined({ tenant: event.tenant, agent: event.agent, session: event.session }),
    ...(scope !== undefined && { scope: pick(fieldsOf(scope), ['kind', 'id', 'tenant']) }),
    ...pick(event.data, passed),
    ...(name === 'kill.contained' ? receiptCounts(event.data) : {}),
    ...(name === 'incident.contained' ? incidentCounts(event.data) : {}),
  };
  return {
    name,
    event: event.id,
    type: event.type,
    body: JSON.stringify({ type: event.type, timestamp: event.time, data }),
  };
};
