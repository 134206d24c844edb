import { encodeDecimal, malformed } from './encoding.ts';
import { EvidenceError, type Failure, failure } from './error.ts';
import { type Note, type NoteSignature, type NoteSigner, signatureOf } from './note.ts';
import { NOTE_COSIGNATURE, type NoteKey, noteKey, parseVkey } from './note-key.ts';

/** A witness's word that it saw the log consistent up to this checkpoint (c2sp.org/tlog-cosignature, Ed25519). */
export interface Cosignature {
  readonly witness: NoteKey;
  /** When, in seconds since 1970. */
  readonly time: number;
}

/** Whose cosignatures count, and how many it takes. */
export interface WitnessPolicy {
  readonly witnesses: readonly NoteKey[];
  readonly quorum: number;
}

export type CosignatureFailureCode = 'BAD_SIGNATURE' | 'REPEATED_SIGNATURE' | 'TOO_FEW_WITNESSES';
export type WitnessVerdict =
  | { readonly ok: true; readonly cosignatures: readonly Cosignature[] }
  | Failure<CosignatureFailureCode>;

const TIME_BYTES = 8;

/** Signs a checkpoint's text at `time`, in seconds since 1970. Throws MALFORMED. */
export function signCosignature(
  text: string,
  { name, key, time }: NoteSigner & { readonly time: number },
): NoteSignature {
  if (!text.endsWith('\n') || !text.isWellFormed()) throw malformed("the checkpoint's text does not end in a newline");
  const { id } = noteKey({ name, type: NOTE_COSIGNATURE, publicKey: key.publicKey });
  const signed = key.sign(cosignedText(text, encodeDecimal(time, 'the time')));
  const bytes = Buffer.allocUnsafe(TIME_BYTES + signed.length);
  bytes.writeBigUInt64BE(BigInt(time));
  bytes.set(signed, TIME_BYTES);
  return { name, id, bytes };
}

/** Whether this is the witness's signature over the checkpoint's text. Never throws. */
export function verifyCosignature(
  text: string,
  { signature, witness }: { readonly signature: NoteSignature; readonly witness: NoteKey },
): ({ readonly ok: true } & Cosignature) | Failure<'BAD_SIGNATURE'> {
  const wrong = failure('BAD_SIGNATURE', `the cosignature of ${witness.name}+${witness.id} is wrong`);
  const { name, id, bytes } = signature;
  if (witness.type !== NOTE_COSIGNATURE || name !== witness.name || id !== witness.id) return wrong;
  if (bytes.length <= TIME_BYTES) return wrong;
  const time = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(0);
  // Years beyond counting: no witness signs at 2^53 seconds, and a number could not hold it.
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return wrong;
  const isGood = witness.key.verify(cosignedText(text, String(time)), bytes.subarray(TIME_BYTES));
  return isGood ? { ok: true, witness, time: Number(time) } : wrong;
}

/**
 * A policy of `quorum` out of these witnesses. Throws BAD_KEY for a vkey that is not of type 0x04, MALFORMED where a
 * name or a key is there twice (one witness would count as two) or where the quorum is not 1 to their number.
 */
export function witnessPolicy({
  vkeys,
  quorum,
}: {
  readonly vkeys: readonly string[];
  readonly quorum: number;
}): WitnessPolicy {
  const witnesses = vkeys.map((vkey) => parseVkey(vkey, NOTE_COSIGNATURE));
  const differ = (values: string[]): boolean => new Set(values).size === witnesses.length;
  if (!differ(witnesses.map(({ name }) => name))) throw malformed('two witnesses have one name');
  if (!differ(witnesses.map(({ key }) => key.publicKey))) throw malformed('two witnesses have one key');
  if (!Number.isInteger(quorum) || quorum < 1 || quorum > witnesses.length) {
    throw new EvidenceError('MALFORMED', `the quorum is not 1 to ${witnesses.length}, the number of witnesses`);
  }
  return { witnesses, quorum };
}

/**
 * Whether enough witnesses cosigned the note. That it is a checkpoint of the right log, under the log's own key, is
 * verifyCheckpoint's to say. A wrong or repeated cosignature of a witness that counts spoils the note. Never throws.
 */
export function checkWitnesses(note: Note, { witnesses, quorum }: WitnessPolicy): WitnessVerdict {
  const cosignatures: Cosignature[] = [];
  for (const witness of witnesses) {
    const signature = signatureOf(note, witness);
    if (signature === undefined) continue;
    if ('ok' in signature) return signature;
    const verdict = verifyCosignature(note.text, { signature, witness });
    if (!verdict.ok) return verdict;
    cosignatures.push({ witness, time: verdict.time });
  }
  return cosignatures.length >= quorum
    ? { ok: true, cosignatures }
    : failure('TOO_FEW_WITNESSES', `${cosignatures.length} witnesses cosigned, ${quorum} must`);
}

function cosignedText(text: string, time: string): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
}
