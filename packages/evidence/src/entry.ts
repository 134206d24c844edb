import { canonical } from './canonical.ts';
import { EvidenceError, type Failure, failure } from './error.ts';
import { type EvidenceEvent, readEvent } from './event.ts';
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
  // "event" sorts before "seal", so the two canonical texts side by side are the canonical form of both.
  const text = `{"event":${eventCanonical},"seal":${canonical(seal)}}`;
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_ENTRY_BYTES) {
    throw new EvidenceError('TOO_LARGE', `the entry is ${bytes} bytes, more than ${MAX_ENTRY_BYTES}`);
  }
  return text;
}

/** Verifies an entry alone, by nothing but its text and the trusted keys. */
export function verifyEntry(
  text: string,
  { keys, cache }: { readonly keys: KeyRing; readonly cache?: SealCache },
): VerifiedEntry | Failure<SealFailureCode> {
  const parsed = parseEntry(text);
  if (!parsed) return failure('MALFORMED', `not the canonical form of an entry of at most ${MAX_ENTRY_BYTES} bytes`);
  const leaf = canonical(parsed.event);
  const read = readEvent(leaf);
  if (!read.ok) return read;
  const lines = [read.event.source, read.event.producerepoch];
  const verdict = verifySeal({
    domain: EVENT_SEAL_DOMAIN,
    lines,
    leaf,
    seal: parsed.seal,
    keys,
    ...(cache && { cache }),
  });
  return verdict.ok ? { ok: true, entry: { event: read.event, seal: parsed.seal as Seal }, text: leaf } : verdict;
}

/** The two members, if the text is canonical and holds nothing else. */
function parseEntry(text: string): { event: unknown; seal: unknown } | undefined {
  if (text.length > MAX_ENTRY_BYTES || Buffer.byteLength(text) > MAX_ENTRY_BYTES) return undefined;
  try {
    const value = JSON.parse(text) as { event?: unknown; seal?: unknown };
    const isEntry = value !== null && typeof value === 'object' && Object.keys(value).sort().join() === 'event,seal';
    return isEntry && canonical(value) === text ? { event: value.event, seal: value.seal } : undefined;
  } catch {
    return undefined;
  }
}
