import { decodeText } from './encoding.ts';
import { EvidenceError } from './error.ts';
import type { EvidenceEvent } from './event.ts';
import { matchesSaltedDigest, saltedDigestFault } from './salted.ts';

/**
 * What opens a salted digest of an event. It travels beside the sealed batch and is kept apart from the log: once it is
 * erased, the digest in the log says nothing any more, and every proof is as good as before.
 */
export interface Disclosure {
  /** The member of the event's data that holds the digest. */
  readonly field: string;
  readonly salt: string;
  /** Absent where only the salt is kept: then whoever has the value can prove that it was this one, and nobody else learns it. */
  readonly value?: unknown;
}

export interface DisclosedEvent {
  readonly event: EvidenceEvent;
  readonly disclosure: Disclosure;
}

export interface ReadDisclosures {
  readonly kept: DisclosedEvent[];
  /** In words, what could not be kept; of an event where it names one. */
  readonly faults: { readonly event?: EvidenceEvent; readonly reason: string }[];
}

/** Of its text. Larger content leaves with its salt alone. */
export const MAX_DISCLOSURE_BYTES = 524_288;
const MAX_DISCLOSURES = 1_024;
/** So that what is kept of an event can be told in one answer. */
const MAX_OF_EVENT = 16;
const FIELD = /^[a-z][a-z_]{0,63}$/;
const NEWLINE = 10;

/** A disclosure as it goes into a batch's message; without its value where that is too large to travel. */
export function disclosureText({ field, salt, value }: Disclosure): string {
  if (!FIELD.test(field)) throw new EvidenceError('MALFORMED', 'the field of a disclosure is no name of a member');
  const text = JSON.stringify({ field, salt, ...(value !== undefined && { value }) });
  return Buffer.byteLength(text) <= MAX_DISCLOSURE_BYTES ? text : JSON.stringify({ field, salt });
}

/**
 * The message of a sealed batch and, on a line of their own, the disclosures of its events: nothing of these is sealed. As bytes: a text of
 * this size that lives on until it is acknowledged is dear to the garbage collector, and so is one made of both.
 */
export function joinDisclosures(
  sealed: string,
  items: readonly { readonly disclosures?: readonly string[] | undefined }[],
): Uint8Array {
  const lines = items.flatMap(({ disclosures = [] }, event) =>
    disclosures.map((text) => `{"event":${event},"disclosure":${text}}`),
  );
  return Buffer.concat([Buffer.from(sealed), Buffer.from(lines.length === 0 ? '' : `\n[${lines.join(',')}]`)]);
}

/** Takes a message apart. A sealed batch holds no newline: JSON has none outside of white space, and inside it escapes them. */
export function splitDisclosures(message: Uint8Array): { sealed: Uint8Array; disclosures: Uint8Array | undefined } {
  const end = message.indexOf(NEWLINE);
  if (end === -1) return { sealed: message, disclosures: undefined };
  return { sealed: message.subarray(0, end), disclosures: message.subarray(end + 1) };
}

/**
 * The disclosures that open a digest of these events. Nobody signed them: each is held against the digest that was
 * sealed, and what does not match is a fault. A salt without its value cannot be checked; a wrong one opens nothing.
 */
export function readDisclosures(bytes: Uint8Array, events: readonly EvidenceEvent[]): ReadDisclosures {
  const read: ReadDisclosures = { kept: [], faults: [] };
  const list = parse(bytes);
  if (!list) {
    read.faults.push({ reason: `the disclosures are not a JSON array of at most ${MAX_DISCLOSURES}` });
    return read;
  }
  const seen = new Map<EvidenceEvent, Set<string>>();
  for (const item of list) {
    const { event: index, disclosure } = fieldsOf(item);
    const event = Number.isSafeInteger(index) ? events[index as number] : undefined;
    if (!event) {
      read.faults.push({ reason: 'a disclosure names no event of its batch' });
      continue;
    }
    const { field, salt, value } = fieldsOf(disclosure);
    const fault = faultOf(event, { field, salt, value });
    const fields = seen.get(event) ?? new Set();
    seen.set(event, fields);
    if (fault !== undefined) read.faults.push({ event, reason: fault });
    else if (fields.has(field as string)) read.faults.push({ event, reason: `${String(field)} is disclosed twice` });
    else if (fields.size === MAX_OF_EVENT)
      read.faults.push({ event, reason: `more than ${MAX_OF_EVENT} of its digests are disclosed` });
    else {
      fields.add(field as string);
      const shown = { field: field as string, salt: salt as string, ...(value !== undefined && { value }) };
      read.kept.push({ event, disclosure: shown });
    }
  }
  return read;
}

/** The digest that an event holds in this member, if it is a salted one. */
export function digestIn({ data }: Pick<EvidenceEvent, 'data'>, field: string): string | undefined {
  const found = Object.hasOwn(data, field) ? data[field] : undefined;
  if (found === undefined || saltedDigestFault(found) !== undefined) return undefined;
  return typeof found === 'string' ? found : (found as { sha256: string }).sha256;
}

function faultOf(
  event: EvidenceEvent,
  { field, salt, value }: Record<'field' | 'salt' | 'value', unknown>,
): string | undefined {
  if (typeof field !== 'string' || !FIELD.test(field)) return 'a disclosure names no member of its event';
  const digest = digestIn(event, field);
  if (digest === undefined) return `${field} is no digest of the event`;
  if (typeof salt !== 'string' || saltedDigestFault({ sha256: digest, salt }) !== undefined)
    return `the salt of ${field} is not 32 bytes in base64url`;
  if (value === undefined) return undefined;
  // Numbers may be longer than they came, so what was sent says nothing of what is kept.
  if (lengthOf(value) > MAX_DISCLOSURE_BYTES)
    return `what is disclosed of ${field} is larger than ${MAX_DISCLOSURE_BYTES} bytes`;
  return doesOpen(value, { salt, digest })
    ? undefined
    : `what is disclosed of ${field} is not what its digest stands for`;
}

function lengthOf(value: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(value));
  } catch {
    // Nested so deep that it has no canonical form either.
    return 0;
  }
}

function doesOpen(value: unknown, salted: { salt: string; digest: string }): boolean {
  try {
    return matchesSaltedDigest(value, salted);
  } catch {
    return false;
  }
}

function parse(bytes: Uint8Array): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(decodeText(bytes, { what: 'the disclosures', maxBytes: bytes.length }));
    return Array.isArray(value) && value.length <= MAX_DISCLOSURES ? value : undefined;
  } catch {
    return undefined;
  }
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
