import { parseCheckpoint } from './checkpoint.ts';
import { decodeDecimal, decodeText, encodeDecimal, malformed } from './encoding.ts';
import { MAX_NOTE_BYTES, parseNote } from './note.ts';
import { formatProofLines, parseProofLines } from './proof-lines.ts';

/** What a log asks a witness (c2sp.org/tlog-witness, "add-checkpoint"). */
export interface AddCheckpoint {
  /** The size that the log believes the witness to have cosigned last; 0 where it did not. */
  readonly oldSize: number;
  /** The consistency proof from there to the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The checkpoint's signed note, verbatim. */
  readonly checkpoint: string;
}

/** 63 hashes and the first line beside the largest note. */
export const MAX_ADD_CHECKPOINT_BYTES = MAX_NOTE_BYTES + 4_096;

const OLD = /^old ([0-9]+)\n/;

/**
 * Throws MALFORMED or TOO_LARGE unless the body has its strict form, down to the checkpoint's. Whether the signature,
 * the sizes and the proof are right is the witness's to say: each has its own answer.
 */
export function parseAddCheckpoint(body: string | Uint8Array): AddCheckpoint {
  const text = decodeText(body, { what: 'the request', maxBytes: MAX_ADD_CHECKPOINT_BYTES });
  const [line, oldSize] = OLD.exec(text) ?? [];
  if (line === undefined || oldSize === undefined) throw malformed('the request does not begin with "old <size>"');
  const { hashes, rest } = parseProofLines(text.slice(line.length));
  parseCheckpoint(parseNote(rest).text);
  return { oldSize: decodeDecimal(oldSize, 'the old size'), proof: hashes, checkpoint: rest };
}

/** Throws MALFORMED or TOO_LARGE where the result would not parse to the same again. */
export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  const body = `old ${encodeDecimal(oldSize, 'the old size')}\n${formatProofLines(proof, checkpoint)}`;
  parseAddCheckpoint(body);
  return body;
}
