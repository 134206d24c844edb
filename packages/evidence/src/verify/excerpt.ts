import { type Checkpoint, verifyCheckpoint } from '../checkpoint.ts';
import { type Cosignature, checkWitnesses } from '../cosignature.ts';
import { readEntry } from '../entry.ts';
import { EvidenceError, type Failure, failure } from '../error.ts';
import type { EvidenceEvent } from '../event.ts';
import { leafHash } from '../hash.ts';
import { verifyInclusion } from '../merkle.ts';
import { EVENT_SEAL_DOMAIN, type Seal, verifySeal } from '../seal.ts';
import { createSealCache } from '../seal-cache.ts';
import type { LogTrust } from './log-verifier.ts';
import { createProducerKeys, type KeyAuthority } from './producer-keys.ts';

/** One entry and its way to the checkpoint. */
export interface ExcerptEntry {
  readonly index: number;
  /** The entry's canonical text, as the log hashes it. */
  readonly entry: string;
  /** The inclusion path, from the leaf's sibling upwards, in base64. */
  readonly path: readonly string[];
}

/**
 * Some entries of a log with everything that it takes to verify them: proofs to one checkpoint with its cosignatures, and
 * what the log says of the keys that sealed them. It proves what it holds; that nothing was left out only the log can show.
 */
export interface Excerpt {
  readonly v: 1;
  readonly kind: 'agentgate-excerpt';
  /** What was asked for, when, and the like: vouched for by nobody. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly log: { readonly origin: string; readonly vkey: string };
  /** The signed note, verbatim. */
  readonly checkpoint: string;
  /** The entries that record or revoke the keys of whoever sealed `entries`, in order. */
  readonly keys: readonly ExcerptEntry[];
  readonly entries: readonly ExcerptEntry[];
}

export interface JudgedEntry {
  readonly index: number;
  /** Only of an entry without a fault. */
  readonly event?: EvidenceEvent;
  readonly fault?: string;
}

export type ExcerptVerdict =
  | {
      /** Whether no entry has a fault. */
      readonly ok: boolean;
      readonly checkpoint: Checkpoint;
      readonly cosignatures: readonly Cosignature[];
      readonly keyAuthority: KeyAuthority;
      /** One for each of the excerpt's entries, in its order; those of `keys` come last, and only where they have a fault. */
      readonly entries: readonly JudgedEntry[];
    }
  | (Failure<string> & { readonly checkpoint?: undefined });

const MAX_ENTRIES = 1_000_000;
const HASH = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** Throws MALFORMED unless the value has an excerpt's form. Verifies nothing. */
export function parseExcerpt(text: string): Excerpt {
  const wrong = (what: string): never => {
    throw new EvidenceError('MALFORMED', `the excerpt ${what}`);
  };
  let value: Partial<Record<keyof Excerpt, unknown>>;
  try {
    value = JSON.parse(text) as typeof value;
  } catch (cause) {
    throw new EvidenceError('MALFORMED', 'the excerpt is not JSON', { cause });
  }
  if (value === null || typeof value !== 'object' || value.v !== 1 || value.kind !== 'agentgate-excerpt')
    return wrong('is not of kind agentgate-excerpt, v 1');
  if (typeof value.checkpoint !== 'string') return wrong('has no checkpoint');
  for (const list of ['keys', 'entries'] as const) {
    const each = value[list];
    if (!Array.isArray(each) || each.length > MAX_ENTRIES || !each.every(isExcerptEntry))
      return wrong(`has ${list} that are not entries with an index and a path`);
  }
  return value as Excerpt;
}

function isExcerptEntry(value: unknown): value is ExcerptEntry {
  if (value === null || typeof value !== 'object') return false;
  const { index, entry, path } = value as Partial<Record<keyof ExcerptEntry, unknown>>;
  return (
    Number.isSafeInteger(index) &&
    typeof entry === 'string' &&
    entry.isWellFormed() &&
    Array.isArray(path) &&
    path.length <= 63 &&
    path.every((hash) => typeof hash === 'string' && HASH.test(hash))
  );
}

/** Verifies each entry of an excerpt by the verifier's own keys: nothing that the excerpt says of itself is believed. */
export function verifyExcerpt(excerpt: Excerpt, { log, witnesses, producers = {} }: LogTrust): ExcerptVerdict {
  if (excerpt.entries.length === 0) return failure('EMPTY', 'the excerpt holds no entry, so it proves nothing');
  const signed = verifyCheckpoint(excerpt.checkpoint, { origin: log.name, keys: [log] });
  if (!signed.ok) return signed;
  const seen = witnesses ? checkWitnesses(signed.note, witnesses) : { ok: true as const, cosignatures: [] };
  if (!seen.ok) return seen;
  const { checkpoint } = signed;
  const keys = createProducerKeys(producers);
  const cache = createSealCache();

  const judge = ({ index, entry, path }: ExcerptEntry): JudgedEntry => {
    const isIn = verifyInclusion(
      { leaf: leafHash(entry), index, size: checkpoint.size, path: path.map((hash) => Buffer.from(hash, 'base64')) },
      checkpoint.root,
    );
    if (!isIn) return { index, fault: `the log does not hold this as entry ${index}` };
    const read = readEntry(entry);
    if (!read.ok) return { index, fault: read.reason };
    const { event, seal, text } = read;
    keys.introduce(event, (seal as Partial<Seal> | null)?.keyid ?? '');
    const lines = [event.source, event.producerepoch];
    const verdict = verifySeal({ domain: EVENT_SEAL_DOMAIN, lines, leaf: text, seal, keys, cache });
    if (!verdict.ok) return { index, fault: `${event.source}: ${verdict.reason}` };
    const fault = keys.take(event, index);
    return fault === undefined ? { index, event } : { index, fault };
  };

  // In the log's order: from its entry on a key speaks, or speaks no more.
  const all = [...new Set([...excerpt.entries, ...excerpt.keys])].sort((a, b) => a.index - b.index);
  const judged = new Map(all.map((each) => [each, judge(each)]));
  const ofKeys = excerpt.keys.map((each) => judged.get(each) as JudgedEntry).filter(({ fault }) => fault !== undefined);
  const inOrder = excerpt.entries.map((each, at): JudgedEntry => {
    const before = excerpt.entries[at - 1]?.index ?? -1;
    if (each.index > before) return judged.get(each) as JudgedEntry;
    return { index: each.index, fault: each.index === before ? 'it stands twice' : `it stands after entry ${before}` };
  });
  const entries = [...inOrder, ...ofKeys];
  return {
    ok: entries.every(({ fault }) => fault === undefined),
    checkpoint,
    cosignatures: seen.cosignatures,
    keyAuthority: keys.authority,
    entries,
  };
}
