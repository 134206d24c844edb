import { decodeDecimal, decodeHash, encodeDecimal, encodeHash, malformed } from './encoding.ts';
import { type Failure, failure, orFailure } from './error.ts';
import { sha256 } from './hash.ts';
import {
  formatNote,
  type Note,
  type NoteFailureCode,
  type NoteSigner,
  parseNote,
  signNote,
  verifyNote,
} from './note.ts';
import type { NoteKey } from './note-key.ts';

/** What a log's tree was at one size (c2sp.org/tlog-checkpoint). */
export interface Checkpoint {
  /** The log's identity: one line that is not empty. */
  readonly origin: string;
  /** How many leaves. */
  readonly size: number;
  /** The RFC 6962 root over them, 32 bytes. */
  readonly root: Uint8Array;
  /** Opaque lines that are not empty. Ours has none. */
  readonly extensions: readonly string[];
}

export type CheckpointFailureCode = NoteFailureCode | 'WRONG_ORIGIN';
export type CheckpointVerdict =
  | { readonly ok: true; readonly checkpoint: Checkpoint; readonly note: Note }
  | Failure<CheckpointFailureCode>;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a line may not hold.
const LINE = /^[^\0-\x1f]+$/;

/** The text of a checkpoint's note. Throws MALFORMED. */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw malformed('the checkpoint does not end in a newline');
  const [origin, size, root, ...extensions] = text.slice(0, -1).split('\n');
  if (origin === undefined || size === undefined || root === undefined) {
    throw malformed('the checkpoint has fewer than three lines');
  }
  const checkpoint = {
    origin,
    size: decodeDecimal(size, 'the tree size'),
    root: decodeHash(root, 'the root'),
    extensions,
  };
  check(checkpoint);
  return checkpoint;
}

/** Throws MALFORMED where the result would not parse to the same again. */
export function formatCheckpoint(checkpoint: Omit<Checkpoint, 'extensions'> & Partial<Checkpoint>): string {
  const { origin, size, root, extensions = [] } = checkpoint;
  const lines = [origin, encodeDecimal(size, 'the tree size'), encodeHash(root, 'the root'), ...extensions];
  check({ origin, size, root, extensions });
  return `${lines.join('\n')}\n`;
}

function check({ origin, size, root, extensions }: Checkpoint): void {
  if (!isLine(origin)) throw malformed('the origin is not a line of text');
  if (!extensions.every(isLine)) throw malformed('an extension is not a line of text');
  if (size === 0 && Buffer.compare(root, sha256('')) !== 0) throw malformed('the root is not that of an empty tree');
}

function isLine(line: string): boolean {
  return LINE.test(line) && line.isWellFormed();
}

/** The signed note of a checkpoint under its log's key, whose name is the origin. Throws MALFORMED. */
export function signCheckpoint(checkpoint: Parameters<typeof formatCheckpoint>[0], key: NoteSigner['key']): string {
  const text = formatCheckpoint(checkpoint);
  return formatNote({ text, signatures: [signNote(text, { name: checkpoint.origin, key })] });
}

/**
 * The checkpoint of a note that at least one of the log's keys (type 0x01) signed, of the log that was asked for.
 * Whether witnesses saw it too is checkWitnesses' to say. Never throws.
 */
export function verifyCheckpoint(
  signed: string | Uint8Array,
  { origin, keys }: { readonly origin: string; readonly keys: readonly NoteKey[] },
): CheckpointVerdict {
  const read = orFailure(() => {
    const note = parseNote(signed);
    return { note, checkpoint: parseCheckpoint(note.text) };
  });
  if (!read.ok) return read;
  const verdict = verifyNote(read.value.note, keys);
  if (!verdict.ok) return verdict;
  if (read.value.checkpoint.origin !== origin) return failure('WRONG_ORIGIN', `the checkpoint is not one of ${origin}`);
  return { ok: true, ...read.value };
}
