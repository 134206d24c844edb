import { canonical } from './canonical.ts';
import { EvidenceError, type Failure, failure } from './error.ts';
import { type EvidenceEvent, eventFault, MAX_EVENT_BYTES } from './event.ts';
import { leafOf, sha256 } from './hash.ts';
import type { KeyRing } from './keys.ts';
import { EVENT_SEAL_DOMAIN, type Seal, type SealFailureCode, verifySeal } from './seal.ts';
import type { SealCache } from './seal-cache.ts';

/** What the log holds: an event and what proves who produced it. */
export interface Entry {
  readonly event: EvidenceEvent;
  readonly seal: Seal;
}

/** The bound of an entry in C2SP tlog-tiles: its length there is a 16-bit number. */
export const MAX_ENTRY_BYTES = 65_535;

export interface VerifiedEntry {
  readonly ok: true;
  readonly entry: Entry;
  /** The event's canonical text, as its producer hashed it. */
  readonly text: string;
}

/** The canonical form of an entry, as the log stores and hashes it. Throws TOO_LARGE beyond 65,535 bytes. */
export function entryText({ event, seal }: Entry): string {
  return sealedText(canonical(event), seal);
}

/** The same from the event's canonical text, without serializing the event again. */
export function sealedText(eventCanonical: string, seal: Seal): string {
  const text = textOf(eventCanonical, seal);
  checkSize(Buffer.byteLength(text));
  return text;
}

/** An entry in each form in which a log needs it. */
export interface EncodedEntry {
  /** `sealedText` in UTF-8. */
  readonly bytes: Uint8Array;
  /** RFC 6962 leaf hash of these bytes. */
  readonly leafHash: Uint8Array;
}

/** `sealedText` for whoever appends it to a log: encoded once, for the hash and for whatever it is written to, and never one string. */
export function encodeEntry(eventCanonical: string, seal: Seal): EncodedEntry {
  const leaf = leafOf([OPENING, eventCanonical, BETWEEN, canonical(seal), CLOSING]);
  const bytes = leaf.subarray(1);
  checkSize(bytes.length);
  return { bytes, leafHash: sha256(leaf) };
}

/** "event" sorts before "seal", so the two canonical texts side by side are the canonical form of both. */
const [OPENING, BETWEEN, CLOSING] = ['{"event":', ',"seal":', '}'] as const;

function textOf(eventCanonical: string, seal: Seal): string {
  return OPENING + eventCanonical + BETWEEN + canonical(seal) + CLOSING;
}

function checkSize(bytes: number): void {
  if (bytes > MAX_ENTRY_BYTES) {
    throw new EvidenceError('TOO_LARGE', `the entry is ${bytes} bytes, more than ${MAX_ENTRY_BYTES}`);
  }
}

/** An entry whose form is right. Whether its seal is, nobody has looked at yet. */
export interface UnverifiedEntry {
  readonly ok: true;
  readonly event: EvidenceEvent;
  readonly seal: unknown;
  /** The event's canonical text. */
  readonly text: string;
}

/** Takes an entry apart, which must be the canonical form of an event and something beside it. Never throws. */
export function readEntry(text: string): UnverifiedEntry | Failure<'MALFORMED'> {
  const parsed = parseEntry(text);
  if (!parsed) return failure('MALFORMED', `not the canonical form of an entry of at most ${MAX_ENTRY_BYTES} bytes`);
  const { event, seal, text: leaf } = parsed;
  const fault = eventFault(event);
  if (fault) return failure('MALFORMED', fault);
  const isLarge = leaf.length > MAX_EVENT_BYTES || Buffer.byteLength(leaf) > MAX_EVENT_BYTES;
  if (isLarge) return failure('MALFORMED', `the event is larger than ${MAX_EVENT_BYTES} bytes`);
  return { ok: true, event: event as EvidenceEvent, seal, text: leaf };
}

/** Verifies an entry alone, by nothing but its text and the trusted keys. */
export function verifyEntry(
  entry: string,
  { keys, cache }: { readonly keys: KeyRing; readonly cache?: SealCache },
): VerifiedEntry | Failure<SealFailureCode> {
  const read = readEntry(entry);
  if (!read.ok) return read;
  const { event, seal, text } = read;
  const lines = [event.source, event.producerepoch];
  const verdict = verifySeal({ domain: EVENT_SEAL_DOMAIN, lines, leaf: text, seal, keys, ...(cache && { cache }) });
  return verdict.ok ? { ok: true, entry: { event, seal: seal as Seal }, text } : verdict;
}

/** The two members, if the text is canonical and holds nothing else, and the text of the first. */
function parseEntry(text: string): { event: unknown; seal: unknown; text: string } | undefined {
  if (text.length > MAX_ENTRY_BYTES || Buffer.byteLength(text) > MAX_ENTRY_BYTES) return undefined;
  try {
    const value = JSON.parse(text) as { event?: unknown; seal?: unknown };
    if (value === null || typeof value !== 'object' || Object.keys(value).sort().join() !== 'event,seal') {
      return undefined;
    }
    const { event, seal } = value;
    // The canonical form of both side by side, as sealedText makes it, with the event's own form inside it.
    const leaf = canonical(event);
    return text === `{"event":${leaf},"seal":${canonical(seal)}}` ? { event, seal, text: leaf } : undefined;
  } catch {
    return undefined;
  }
}
