import { canonical } from './canonical.ts';
import { EvidenceError, type Failure, failure } from './error.ts';

/** A CloudEvents 1.0 structured event, as PROTOCOL.md has it. */
export interface EvidenceEvent {
  readonly specversion: '1.0';
  readonly id: string;
  /** The producer: whose key may sign it is decided by this. */
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  /** RFC 3339 in UTC. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly tenant?: string;
  readonly agent?: string;
  readonly session?: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Changes at each start of the producer. */
  readonly producerepoch: string;
  /** 1, 2, 3 … within an epoch. */
  readonly producerseq: number;
  /** Hex SHA-256 of the canonical form of the producer's previous event in this epoch; empty for the first. */
  readonly producerprev: string;
}

/** Leaves room for the seal in an entry. */
export const MAX_EVENT_BYTES = 60_000;

export interface ReadEvent {
  readonly ok: true;
  readonly event: EvidenceEvent;
}

type Check = (value: unknown) => boolean;

const text =
  (max: number, pattern?: RegExp): Check =>
  (value) =>
    typeof value === 'string' && value.length >= 1 && value.length <= max && (pattern?.test(value) ?? true);
const literal =
  (wanted: string): Check =>
  (value) =>
    value === wanted;
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Tenant and type become tokens of a NATS subject: no wildcard, space or stray dot may pass. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const TYPE = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const NO_CONTROLS = /^\P{Cc}+$/u;
const PREV = /^([0-9a-f]{64})?$/;

const REQUIRED: Readonly<Record<string, Check>> = {
  specversion: literal('1.0'),
  id: text(128, NO_CONTROLS),
  source: text(512, NO_CONTROLS),
  type: text(128, TYPE),
  subject: text(512, NO_CONTROLS),
  time: text(40, TIME),
  datacontenttype: literal('application/json'),
  data: isObject,
  producerepoch: text(64, NO_CONTROLS),
  producerseq: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
  producerprev: (value) => typeof value === 'string' && PREV.test(value),
};
const OPTIONAL: Readonly<Record<string, Check>> = {
  tenant: text(63, NAME),
  agent: text(63, NAME),
  session: text(128, NO_CONTROLS),
};

const REQUIRED_CHECKS = Object.entries(REQUIRED);

/** What is wrong with the shape of an event, or undefined. `data` belongs to the type's schema, not to this package. */
export function eventFault(value: unknown): string | undefined {
  if (!isObject(value)) return 'the event is not an object';
  const event = value as Record<string, unknown>;
  for (const [field, check] of REQUIRED_CHECKS) {
    if (!check(event[field])) return `the event's ${field} is missing or not of its form`;
  }
  for (const field in event) {
    if (Object.hasOwn(REQUIRED, field)) continue;
    const check = Object.hasOwn(OPTIONAL, field) ? OPTIONAL[field] : undefined;
    if (!check) return `the event has an unknown field: ${field.slice(0, 64)}`;
    if (!check(event[field])) return `the event's ${field} is not of its form`;
  }
  return undefined;
}

/** The canonical text of an event. Throws MALFORMED, NOT_CANONICAL or TOO_LARGE: what it returns, readEvent takes. */
export function eventText(event: EvidenceEvent): string {
  const fault = eventFault(event);
  if (fault) throw new EvidenceError('MALFORMED', fault);
  const made = canonical(event);
  const bytes = Buffer.byteLength(made);
  if (bytes > MAX_EVENT_BYTES) {
    throw new EvidenceError('TOO_LARGE', `the event is ${bytes} bytes, more than ${MAX_EVENT_BYTES}`);
  }
  return made;
}

/**
 * Reads an event from its canonical text, and from nothing else: another spelling (member order, escapes, duplicate
 * keys, numbers that lose digits) would be an event whose proof fails for everybody who parses the entry.
 */
export function readEvent(source: string): ReadEvent | Failure<'MALFORMED'> {
  if (source.length > MAX_EVENT_BYTES || Buffer.byteLength(source) > MAX_EVENT_BYTES) {
    return failure('MALFORMED', `the event is larger than ${MAX_EVENT_BYTES} bytes`);
  }
  const value = parse(source);
  const fault = eventFault(value);
  if (fault) return failure('MALFORMED', fault);
  return isCanonical(value, source)
    ? { ok: true, event: value as EvidenceEvent }
    : failure('MALFORMED', 'the event is not in canonical form');
}

function parse(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
}

function isCanonical(value: unknown, source: string): boolean {
  try {
    return canonical(value) === source;
  } catch {
    return false;
  }
}
