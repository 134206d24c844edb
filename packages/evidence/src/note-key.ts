import { decodeBase64, malformed } from './encoding.ts';
import { EvidenceError } from './error.ts';
import { sha256 } from './hash.ts';
import { type VerifyingKey, verifyingKey } from './keys.ts';

/** The signature types of C2SP signed-note that this package knows: plain Ed25519, and cosignature/v1. */
export const NOTE_ED25519 = 0x01;
export const NOTE_COSIGNATURE = 0x04;
export type NoteKeyType = typeof NOTE_ED25519 | typeof NOTE_COSIGNATURE;

/** A trusted key of C2SP signed notes. Its name and id together find its signatures in a note. */
export interface NoteKey {
  readonly name: string;
  /** The key id: 8 lowercase hex digits. An identifier only, never a proof of the key. */
  readonly id: string;
  readonly type: NoteKeyType;
  readonly key: VerifyingKey;
}

/** Of our own keys only: the names of unknown keys in a note are bounded by the note's size. */
const MAX_NAME_BYTES = 255;
const VKEY = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/su;
const PUBLIC_KEY_BYTES = 32;

/** C2SP signed-note, "Format": not empty, without Unicode spaces and pluses; nor with control characters, as no note is. */
export function isNoteName(name: string): boolean {
  return /^[^\p{White_Space}\p{Cc}+]+$/u.test(name) && name.isWellFormed();
}

/**
 * A key from its parts (C2SP signed-note, "Signatures"); `publicKey` is the raw 32 bytes in base64url.
 * Throws MALFORMED for the name, BAD_KEY for the key.
 */
export function noteKey({ name, type, publicKey }: { name: string; type: NoteKeyType; publicKey: string }): NoteKey {
  if (!isNoteName(name)) throw malformed('the name of a note key may hold neither a space nor a plus');
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw malformed(`the name of a note key is more than ${MAX_NAME_BYTES} bytes`);
  }
  const key = verifyingKey(publicKey);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), typedKey(type, publicKey)])).toString('hex', 0, 4);
  return { name, id, type, key };
}

/** `<name>+<key id>+<base64 of type and key>` (C2SP signed-note, "Verifier keys"). */
export function formatVkey({ name, id, type, key }: NoteKey): string {
  return `${name}+${id}+${typedKey(type, key.publicKey).toString('base64')}`;
}

/**
 * Throws BAD_KEY unless it is the one text of a key of type 0x01 or 0x04 whose id is right. What the key is trusted
 * for hangs on its type, so whoever takes a vkey from a configuration names the type that it must have.
 */
export function parseVkey(vkey: string, type: NoteKeyType): NoteKey {
  const [, name, id, base64] = VKEY.exec(vkey) ?? [];
  if (name === undefined || id === undefined || base64 === undefined) {
    throw badKey('the verifier key is not <name>+<8 hex digits>+<base64>');
  }
  const typed = typedKeyOf(base64);
  if (typed[0] !== type) throw badKey(`the verifier key is of type ${typed[0]}, not ${type}`);
  if (typed.length !== 1 + PUBLIC_KEY_BYTES) throw badKey(`the verifier key is not a key of ${PUBLIC_KEY_BYTES} bytes`);
  const key = keyOf(name, type, typed.toString('base64url', 1));
  if (key.id !== id) throw badKey(`the verifier key's id is ${key.id}, not ${id}`);
  return key;
}

/** The verifier key of a log, as checkpoint tools take it. Throws MALFORMED for the name, BAD_KEY for the key. */
export function noteVerifierKey(name: string, publicKey: string): string {
  return formatVkey(noteKey({ name, type: NOTE_ED25519, publicKey }));
}

/** The verifier key of a witness. Throws MALFORMED for the name, BAD_KEY for the key. */
export function witnessVerifierKey(name: string, publicKey: string): string {
  return formatVkey(noteKey({ name, type: NOTE_COSIGNATURE, publicKey }));
}

function typedKey(type: NoteKeyType, publicKey: string): Buffer {
  return Buffer.concat([Buffer.from([type]), Buffer.from(publicKey, 'base64url')]);
}

function typedKeyOf(base64: string): Buffer {
  try {
    return decodeBase64(base64, 'the key');
  } catch (cause) {
    throw badKey('the verifier key does not end in canonical base64', cause);
  }
}

function keyOf(name: string, type: NoteKeyType, publicKey: string): NoteKey {
  try {
    return noteKey({ name, type, publicKey });
  } catch (cause) {
    throw badKey(`the verifier key is not one: ${(cause as Error).message}`, cause);
  }
}

function badKey(message: string, cause?: unknown): EvidenceError {
  return new EvidenceError('BAD_KEY', message, cause === undefined ? undefined : { cause });
}
