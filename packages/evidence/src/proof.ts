import { type Checkpoint, type CheckpointFailureCode, parseCheckpoint, verifyCheckpoint } from './checkpoint.ts';
import { type Cosignature, type CosignatureFailureCode, checkWitnesses, type WitnessPolicy } from './cosignature.ts';
import { decodeBase64, decodeDecimal, decodeText, encodeBase64, encodeDecimal, malformed } from './encoding.ts';
import { type Failure, failure, orFailure } from './error.ts';
import { verifyInclusion } from './merkle.ts';
import { MAX_NOTE_BYTES, parseNote } from './note.ts';
import type { NoteKey } from './note-key.ts';
import { formatProofLines, parseProofLines } from './proof-lines.ts';

/** That a log holds an entry, and who saw it do so: verifies offline (c2sp.org/tlog-proof). */
export interface Proof {
  /** The entry's place in the log, from 0. */
  readonly index: number;
  /** The inclusion path, from the leaf's sibling upwards. */
  readonly path: readonly Uint8Array[];
  /** The checkpoint's signed note with its cosignatures, verbatim. */
  readonly checkpoint: string;
  /** Opaque, and vouched for by nobody. */
  readonly extra?: Uint8Array | undefined;
}

export interface ProofTrust {
  /** The hash of the entry that the proof is about, 32 bytes. */
  readonly leafHash: Uint8Array;
  readonly origin: string;
  /** The log's keys, of type 0x01. */
  readonly keys: readonly NoteKey[];
  /** Undefined says plainly that no witness is asked for. */
  readonly witnesses: WitnessPolicy | undefined;
}

export type ProofFailureCode = CheckpointFailureCode | CosignatureFailureCode | 'BAD_PATH';
export type ProofVerdict =
  | {
      readonly ok: true;
      readonly proof: Proof;
      readonly checkpoint: Checkpoint;
      readonly cosignatures: readonly Cosignature[];
    }
  | Failure<ProofFailureCode>;

export const MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES;

const HEADER = 'c2sp.org/tlog-proof@v1\n';
const HEAD = /^(?:extra ([A-Za-z0-9+/=]+)\n)?index ([0-9]+)\n/;

/** Throws MALFORMED or TOO_LARGE unless the proof has its strict form, down to the checkpoint's. Verifies nothing. */
export function parseProof(proof: string | Uint8Array): Proof {
  const text = decodeText(proof, { what: 'the proof', maxBytes: MAX_PROOF_BYTES });
  if (!text.startsWith(HEADER)) throw malformed('the proof is not one of c2sp.org/tlog-proof@v1');
  const body = text.slice(HEADER.length);
  const [head, extra, index] = HEAD.exec(body) ?? [];
  if (head === undefined || index === undefined) throw malformed('the proof does not say "index <number>"');
  const { hashes, rest } = parseProofLines(body.slice(head.length));
  parseCheckpoint(parseNote(rest).text);
  return {
    index: decodeDecimal(index, 'the index'),
    path: hashes,
    checkpoint: rest,
    ...(extra !== undefined && { extra: decodeBase64(extra, 'the extra data') }),
  };
}

/** Throws MALFORMED or TOO_LARGE where the result would not parse to the same again. */
export function formatProof({ index, path, checkpoint, extra }: Proof): string {
  const head = extra === undefined ? '' : `extra ${encodeBase64(extra)}\n`;
  const proof = `${HEADER}${head}index ${encodeDecimal(index, 'the index')}\n${formatProofLines(path, checkpoint)}`;
  parseProof(proof);
  return proof;
}

/** Whether the log holds this leaf, by its own word and that of enough witnesses. Never throws. */
export function verifyProof(
  text: string | Uint8Array,
  { leafHash, origin, keys, witnesses }: ProofTrust,
): ProofVerdict {
  const read = orFailure(() => parseProof(text));
  if (!read.ok) return read;
  const proof = read.value;
  const signed = verifyCheckpoint(proof.checkpoint, { origin, keys });
  if (!signed.ok) return signed;
  const { checkpoint, note } = signed;
  const seen = witnesses ? checkWitnesses(note, witnesses) : { ok: true as const, cosignatures: [] };
  if (!seen.ok) return seen;
  const { index, path } = proof;
  const isIncluded = verifyInclusion({ leaf: leafHash, index, size: checkpoint.size, path }, checkpoint.root);
  if (!isIncluded) return failure('BAD_PATH', `the path does not lead from leaf ${index} to the checkpoint's root`);
  return { ok: true, proof, checkpoint, cosignatures: seen.cosignatures };
}
