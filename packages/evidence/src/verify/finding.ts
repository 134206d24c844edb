/** What can be wrong with a log. The first group is about the log as a whole, the second about its files, the third about single entries. */
export type FindingCode = keyof typeof MEANINGS;

export interface Finding {
  readonly code: FindingCode;
  /** The first entry that it is about; absent where it is about the log as a whole. */
  readonly index?: number;
  /** What is wrong, in one line that names the entry or the file. */
  readonly what: string;
  /** How that shows. */
  readonly reason: string;
  /** What it means for whoever relies on the log. */
  readonly means: string;
  /** The entry in which the log itself reports it, as `evidence.anomaly`. */
  readonly disclosedAt?: number;
}

const MEANINGS = {
  NO_CHECKPOINT: 'There is no log here, or not all of it: nothing can be said of it.',
  BAD_CHECKPOINT:
    'Nobody who holds the log’s key stands for these files: nothing in them can be believed on the log’s word.',
  NOT_WITNESSED:
    'Only the holder of the log’s key stands for these entries: whoever has that key can have rewritten them unseen.',
  STALE: 'What the log took since then may have been cut off: this may be an older state of it, shown as the newest.',
  ROLLED_BACK: 'Entries that this verifier has seen are gone: the log was cut back or replaced by an older copy.',
  FORKED:
    'The log’s key has signed two histories: entries that this verifier has seen were changed, removed or moved afterwards.',
  ROOT_MISMATCH:
    'The log’s key never signed these entries as they stand: they were changed after the checkpoint, or the checkpoint belongs to others.',
  TOO_MANY_PRODUCERS: 'More producers than any deployment has: what comes after cannot be judged in bounded memory.',
  FILE_MISSING: 'The checkpoint vouches for it: entries were cut off or taken out, or this copy is not whole.',
  TILE_CHANGED: 'The hashes were changed on disk after the checkpoint was signed.',
  ENTRY_CHANGED: 'Somebody with access to the files rewrote it: what stands there now is not what was recorded.',
  ENTRY_INSERTED: 'Somebody with access to the files put it there: it was never recorded.',
  ENTRY_MOVED: 'Somebody with access to the files removed or moved entries: what was recorded here is not here.',
  MALFORMED:
    'No producer of this protocol writes such an entry, and the sequencer takes none: it was put in past both.',
  UNKNOWN_KEY: 'Somebody else than the producer that it names wrote it: a forgery, or a key that was never recorded.',
  KEY_REVOKED: 'It was written after the key was withdrawn: whoever stole the key may have written it.',
  BAD_SEAL: 'It is not what the producer that it names has signed: it was forged, or changed since.',
  HOLE: 'Events that this producer had chained are not in the log: they were removed, or never got there.',
  REPLAYED: 'It was played again, or slipped into the past of its producer: the sequencer takes no place twice.',
  WRONG_PREV: 'The event before it is not the one that the producer wrote before it: one of the two was exchanged.',
  BACKDATED: 'It claims to be older than it can be at this place: back-dated, or written long after it happened.',
  POSTDATED: 'It claims to be younger than it can be at this place: post-dated, or its producer’s clock is wrong.',
  BAD_DIGEST: 'What was taken out of the event cannot be compared with its digest any more.',
  BAD_KEY_EVENT: 'The log’s list of producers’ keys cannot be relied on from here.',
} as const;

/** A finding in its code's words. */
export function finding(code: FindingCode, parts: { index?: number; what: string; reason: string }): Finding {
  return { code, ...parts, means: MEANINGS[code] };
}

/** Findings about files and their hashes: as long as there is none, each entry is what the checkpoint was signed over. */
const STRUCTURE: ReadonlySet<FindingCode> = new Set<FindingCode>([
  'NO_CHECKPOINT',
  'BAD_CHECKPOINT',
  'ROOT_MISMATCH',
  'FILE_MISSING',
  'TILE_CHANGED',
  'ENTRY_CHANGED',
  'ENTRY_INSERTED',
  'ENTRY_MOVED',
]);

const MAX_FINDINGS = 100;

/** Collects findings in flat memory: the first hundred in full, the rest as a number. */
export interface Findings {
  add(found: Finding): void;
  /** Of a finding that the log may report itself, at its place in a producer's chain. */
  addAt(place: string, found: Finding): void;
  /** An entry of the log reports this of that place. */
  disclose(place: string, code: FindingCode, index: number): void;
  readonly total: number;
  /** How many of them the log does not report itself. */
  readonly undisclosed: number;
  readonly hasStructure: boolean;
  /** Nothing could be held against the checkpoint's root. */
  readonly isRootUnknown: boolean;
  /** Those of the whole log first, then by entry. */
  list(): Finding[];
}

export function createFindings(): Findings {
  const kept: Finding[] = [];
  const open = new Map<string, number>();
  let total = 0;
  let disclosed = 0;
  let hasStructure = false;
  let isRootUnknown = false;
  const add = (found: Finding): void => {
    total += 1;
    hasStructure ||= STRUCTURE.has(found.code);
    isRootUnknown ||= found.code === 'ROOT_MISMATCH';
    if (kept.length < MAX_FINDINGS) kept.push(found);
  };
  return {
    add,
    addAt(place, found) {
      if (kept.length < MAX_FINDINGS) open.set(`${found.code} ${place}`, kept.length);
      add(found);
    },
    disclose(place, code, index) {
      const at = open.get(`${code} ${place}`);
      if (at === undefined) return;
      open.delete(`${code} ${place}`);
      disclosed += 1;
      kept[at] = { ...(kept[at] as Finding), disclosedAt: index };
    },
    get total() {
      return total;
    },
    get undisclosed() {
      return total - disclosed;
    },
    get hasStructure() {
      return hasStructure;
    },
    get isRootUnknown() {
      return isRootUnknown;
    },
    list: () => kept.toSorted((a, b) => (a.index ?? -1) - (b.index ?? -1)),
  };
}
