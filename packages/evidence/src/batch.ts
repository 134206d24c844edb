import type { ChainItem } from './chain.ts';
import { EvidenceError, type Failure, failure } from './error.ts';
import { type EvidenceEvent, MAX_EVENT_BYTES, readEvent } from './event.ts';
import { leafHashes } from './hash.ts';
import type { KeyRing, SigningKey } from './keys.ts';
import { levelsRoot, merkleRoot, treeLevels } from './merkle.ts';
import { EVENT_SEAL_DOMAIN, type Seal, type SealFailureCode, sealsOf, signRoot, verifyRoot } from './seal.ts';

/** What a producer publishes: events of one source and epoch as canonical texts, signed once. */
export interface Batch {
  readonly v: 1;
  readonly source: string;
  readonly epoch: string;
  readonly keyid: string;
  readonly size: number;
  /** RFC 6962 root over the leaf hashes of the texts, lowercase hex. */
  readonly root: string;
  /** Ed25519, base64. */
  readonly sig: string;
  readonly events: readonly string[];
}

export interface SealedEvent extends ChainItem {
  readonly seal: Seal;
}

export interface OpenedBatch {
  readonly ok: true;
  readonly source: string;
  readonly epoch: string;
  readonly keyid: string;
  readonly entries: SealedEvent[];
}

export type BatchFailureCode = SealFailureCode | 'BAD_ROOT';

export const MAX_BATCH_EVENTS = 512;
/** Below the 1 MiB that a NATS server takes by default, headers included. */
export const MAX_BATCH_BYTES = 1_000_000;
/** More than everything in a batch except its events. */
const ENVELOPE_BYTES = 4_096;
/** More than what a batch puts around each disclosure. */
const DISCLOSURE_BYTES = 64;
const BATCH_FIELDS = 'epoch,events,keyid,root,sig,size,source,v';

/** How many of the waiting items, from the first on, fit into one batch: at least one, if there is any. */
export function batchFit(items: readonly ChainItem[]): number {
  let bytes = ENVELOPE_BYTES;
  let count = 0;
  for (const { text, disclosures = [] } of items) {
    // In JSON a text at most doubles: canonical texts hold no raw control characters, so only quotes and backslashes are escaped.
    bytes += 2 * Buffer.byteLength(text) + 3;
    for (const disclosure of disclosures) bytes += Buffer.byteLength(disclosure) + DISCLOSURE_BYTES;
    if (count === MAX_BATCH_EVENTS || (bytes > MAX_BATCH_BYTES && count > 0)) break;
    count += 1;
  }
  return count;
}

/**
 * Signs the items, made by one chain and in its order, as one message. Throws MALFORMED for none or for items of
 * several chains, TOO_LARGE beyond 512 events or 1,000,000 bytes (batchFit says how many to give).
 */
export function encodeBatch(items: readonly ChainItem[], key: SigningKey): string {
  const first = items[0]?.event;
  if (!first) throw new EvidenceError('MALFORMED', 'a batch holds at least one event');
  const { source, producerepoch: epoch } = first;
  if (items.some(({ event }) => event.source !== source || event.producerepoch !== epoch)) {
    throw new EvidenceError('MALFORMED', 'a batch holds events of one source and epoch');
  }
  if (items.length > MAX_BATCH_EVENTS) {
    throw new EvidenceError('TOO_LARGE', `a batch holds at most ${MAX_BATCH_EVENTS} events, not ${items.length}`);
  }
  const events = items.map(({ text }) => text);
  const root = Buffer.from(merkleRoot(leafHashes(events))).toString('hex');
  const signed = signRoot({ domain: EVENT_SEAL_DOMAIN, lines: [source, epoch], size: events.length, root, key });
  const batch: Batch = { v: 1, source, epoch, ...signed, events };
  const body = JSON.stringify(batch);
  if (Buffer.byteLength(body) > MAX_BATCH_BYTES) {
    throw new EvidenceError('TOO_LARGE', `the batch is larger than ${MAX_BATCH_BYTES} bytes`);
  }
  return body;
}

/**
 * Verifies a batch and gives each event the seal that it keeps from now on. One Ed25519 verification, and nothing of
 * the events is parsed before it held. The order of the events against what came before is checkLink's to judge.
 */
export function openBatch(body: string | Uint8Array, keys: KeyRing): OpenedBatch | Failure<BatchFailureCode> {
  const batch = readBatch(body);
  if (!batch.ok) return batch;
  const { source, epoch, keyid, size, root, sig, events } = batch.value;
  const levels = treeLevels(leafHashes(events));
  if (Buffer.from(levelsRoot(levels)).toString('hex') !== root) {
    return failure('BAD_ROOT', 'the root is not the one of these events');
  }
  const verdict = verifyRoot({ domain: EVENT_SEAL_DOMAIN, lines: [source, epoch], keyid, size, root, sig, keys });
  if (!verdict.ok) return verdict;
  const seals = sealsOf({ keyid, size, root, sig }, levels);
  const entries: SealedEvent[] = [];
  for (const [index, text] of events.entries()) {
    const event = readOwnEvent(text, batch.value);
    if (!event.ok) return failure(event.code, `event ${index} of the batch: ${event.reason}`);
    entries.push({ event: event.event, text, seal: seals[index] as Seal });
  }
  return { ok: true, source, epoch, keyid, entries };
}

/** An event speaks for its own producer only: the signature was checked for the batch's source and epoch. */
function readOwnEvent(
  text: string,
  { source, epoch }: Batch,
): { ok: true; event: EvidenceEvent } | Failure<'MALFORMED'> {
  const read = readEvent(text);
  if (!read.ok) return read;
  if (read.event.source !== source) return failure('MALFORMED', 'its source is not the one of the batch');
  if (read.event.producerepoch !== epoch) return failure('MALFORMED', 'its epoch is not the one of the batch');
  return read;
}

function readBatch(body: string | Uint8Array): { ok: true; value: Batch } | Failure<'MALFORMED'> {
  if (body.length > MAX_BATCH_BYTES) return failure('MALFORMED', `the batch is larger than ${MAX_BATCH_BYTES} bytes`);
  const value = parse(body);
  if (typeof value !== 'object' || value === null || Object.keys(value).sort().join() !== BATCH_FIELDS) {
    return failure('MALFORMED', `the batch is not a JSON object of ${BATCH_FIELDS}`);
  }
  const batch = value as Record<keyof Batch, unknown>;
  if (batch.v !== 1) return failure('MALFORMED', 'v is not 1');
  // What else verifyRoot takes apart itself: source, epoch, keyid, root, sig.
  const { events, size } = batch;
  if (!Array.isArray(events) || events.length < 1 || events.length > MAX_BATCH_EVENTS) {
    return failure('MALFORMED', `events is not an array of 1 to ${MAX_BATCH_EVENTS}`);
  }
  if (size !== events.length) return failure('MALFORMED', 'size is not the number of events');
  if (!events.every(isEventText)) {
    return failure('MALFORMED', `events holds something else than texts of at most ${MAX_EVENT_BYTES} bytes`);
  }
  return { ok: true, value: value as Batch };
}

function isEventText(text: unknown): boolean {
  return typeof text === 'string' && text.length <= MAX_EVENT_BYTES && text.isWellFormed();
}

function parse(body: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
