import { decodeBase64, decodeText, encodeBase64, malformed } from './encoding.ts';
import { EvidenceError, type Failure, failure } from './error.ts';
import type { SigningKey } from './keys.ts';
import { isNoteName, NOTE_ED25519, type NoteKey, noteKey } from './note-key.ts';

/** A C2SP signed note (c2sp.org/signed-note): a text and the signatures under it. Nothing in it is verified yet. */
export interface Note {
  /** With its final newline, without the blank line that parts it from the signatures. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** The key id: 8 lowercase hex digits. */
  readonly id: string;
  /** What follows the key id. Its shape is the signature type's. */
  readonly bytes: Uint8Array;
}

/** Who signs a note: a key under the name that verifiers know it by. */
export interface NoteSigner {
  readonly name: string;
  readonly key: SigningKey;
}

export type NoteFailureCode = 'MALFORMED' | 'UNKNOWN_KEY' | 'BAD_SIGNATURE' | 'REPEATED_SIGNATURE';
export type NoteVerdict = { readonly ok: true; readonly signers: readonly NoteKey[] } | Failure<NoteFailureCode>;

/** Room for 32 post-quantum signatures; the specification asks for 16 at least. */
export const MAX_NOTE_BYTES = 262_144;
export const MAX_NOTE_SIGNATURES = 64;

const KEY_ID_BYTES = 4;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a note may not hold.
const FORBIDDEN = /[\0-\x09\x0b-\x1f]/;

/** Throws MALFORMED, or TOO_LARGE beyond 262,144 bytes or 64 signatures. Never reads a line that has no strict form. */
export function parseNote(note: string | Uint8Array): Note {
  const whole = decodeText(note, { what: 'the note', maxBytes: MAX_NOTE_BYTES });
  if (FORBIDDEN.test(whole)) throw malformed('the note holds a control character');
  const end = whole.lastIndexOf('\n\n');
  if (end < 0) throw malformed('the note has no blank line before its signatures');
  return { text: whole.slice(0, end + 1), signatures: parseSignatureLines(whole.slice(end + 2)) };
}

/** Throws MALFORMED or TOO_LARGE where the result would not parse to the same again. */
export function formatNote({ text, signatures }: Note): string {
  if (!text.endsWith('\n')) throw malformed("the note's text does not end in a newline");
  const note = `${text}\n${signatures.map(formatSignatureLine).join('')}`;
  parseNote(note);
  return note;
}

/** One or more signature lines, as a witness answers with. Throws MALFORMED, or TOO_LARGE beyond 64. */
export function parseSignatureLines(lines: string): NoteSignature[] {
  if (!lines.endsWith('\n')) throw malformed('the signatures do not end in a newline');
  const each = lines.slice(0, -1).split('\n', MAX_NOTE_SIGNATURES + 1);
  if (each.length > MAX_NOTE_SIGNATURES) {
    throw new EvidenceError('TOO_LARGE', `a note has at most ${MAX_NOTE_SIGNATURES} signatures`);
  }
  return each.map(parseSignatureLine);
}

/** `— <name> <base64 of key id and signature>` and a newline. Throws MALFORMED. */
export function formatSignatureLine({ name, id, bytes }: NoteSignature): string {
  if (!isNoteName(name)) throw malformed('the name of a note key may hold neither a space nor a plus');
  if (!/^[0-9a-f]{8}$/.test(id)) throw malformed('a key id is 8 lowercase hex digits');
  if (bytes.length === 0) throw malformed('a signature holds at least one byte');
  return `— ${name} ${encodeBase64(Buffer.concat([Buffer.from(id, 'hex'), bytes]))}\n`;
}

function parseSignatureLine(line: string): NoteSignature {
  const [dash, name, base64, ...rest] = line.split(' ');
  if (dash !== '—' || name === undefined || base64 === undefined || rest.length > 0) {
    throw malformed('a signature line is not "— <name> <base64>"');
  }
  if (!isNoteName(name)) throw malformed('a signature line names no key');
  const bytes = decodeBase64(base64, 'a signature');
  if (bytes.length <= KEY_ID_BYTES) throw malformed('a signature is too short for its key id');
  // A copy of its own: a view would keep the whole piece of Node's pool that it was cut from, for as long as somebody keeps the signature.
  return { name, id: bytes.toString('hex', 0, KEY_ID_BYTES), bytes: Uint8Array.from(bytes.subarray(KEY_ID_BYTES)) };
}

/** The Ed25519 signature of type 0x01 over the text. Throws MALFORMED for the name or a text without final newline. */
export function signNote(text: string, { name, key }: NoteSigner): NoteSignature {
  if (!text.endsWith('\n') || !text.isWellFormed()) throw malformed("the note's text does not end in a newline");
  const { id } = noteKey({ name, type: NOTE_ED25519, publicKey: key.publicKey });
  return { name, id, bytes: key.sign(Buffer.from(text)) };
}

/**
 * Which of the trusted keys (all of type 0x01) signed the note: at least one did. Signatures of other keys are passed
 * over; a trusted key whose signature is wrong, or is there twice, spoils the note (C2SP signed-note, "Signatures").
 */
export function verifyNote(note: Note, keys: readonly NoteKey[]): NoteVerdict {
  const signers: NoteKey[] = [];
  for (const key of keys) {
    const found = signatureOf(note, key);
    if (found === undefined) continue;
    if ('ok' in found) return found;
    const isGood = key.type === NOTE_ED25519 && key.key.verify(Buffer.from(note.text), found.bytes);
    if (!isGood) return failure('BAD_SIGNATURE', `the signature of ${key.name}+${key.id} is wrong`);
    signers.push(key);
  }
  return signers.length > 0 ? { ok: true, signers } : failure('UNKNOWN_KEY', 'no trusted key signed the note');
}

/** The one signature under this name and key id, or undefined where there is none. */
export function signatureOf(
  note: Note,
  { name, id }: Pick<NoteKey, 'name' | 'id'>,
): NoteSignature | Failure<'REPEATED_SIGNATURE'> | undefined {
  const [found, ...more] = note.signatures.filter((each) => each.name === name && each.id === id);
  return more.length > 0 ? failure('REPEATED_SIGNATURE', `the note has two signatures of ${name}+${id}`) : found;
}
