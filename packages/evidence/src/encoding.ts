// The canonical forms that C2SP's text formats share. Each value has one text, so that no two texts mean the same.
import { EvidenceError } from './error.ts';
import { HASH_BYTES } from './hash.ts';

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function malformed(message: string): EvidenceError {
  return new EvidenceError('MALFORMED', message);
}

/** A whole number from 0 to 2^53 - 1 without leading zeroes. Throws MALFORMED. */
export function decodeDecimal(text: string, what: string): number {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw malformed(`${what} is not a decimal number of 0 to 2^53 - 1`);
  return value;
}

/** Throws MALFORMED unless it is a whole number from 0 to 2^53 - 1. */
export function encodeDecimal(value: number, what: string): string {
  if (!isCount(value)) throw malformed(`${what} is not a whole number of 0 to 2^53 - 1`);
  return String(value);
}

export function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** RFC 4648, section 4, with padding and with no bit set that no byte holds. Throws MALFORMED. */
export function decodeBase64(text: string, what: string): Buffer {
  // The decoder itself skips what it does not know: only a text that comes back the same was base64.
  const bytes = BASE64.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (bytes?.toString('base64') !== text) throw malformed(`${what} is not canonical base64`);
  return bytes;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** A SHA-256 in base64. Throws MALFORMED. */
export function decodeHash(text: string, what: string): Buffer {
  const bytes = decodeBase64(text, what);
  if (bytes.length !== HASH_BYTES) throw malformed(`${what} is not a hash of ${HASH_BYTES} bytes`);
  return bytes;
}

/** Throws MALFORMED unless it is 32 bytes. */
export function encodeHash(hash: Uint8Array, what: string): string {
  if (hash.length !== HASH_BYTES) throw malformed(`${what} is not a hash of ${HASH_BYTES} bytes`);
  return encodeBase64(hash);
}

/** The text of bytes or of a string. Throws TOO_LARGE beyond `maxBytes`, MALFORMED unless it is well-formed UTF-8. */
export function decodeText(input: string | Uint8Array, { what, maxBytes }: { what: string; maxBytes: number }): string {
  const isText = typeof input === 'string';
  // A string has at most as many characters as bytes, which spares counting one that is too large anyway.
  const isLarge = input.length > maxBytes || (isText && Buffer.byteLength(input) > maxBytes);
  if (isLarge) throw new EvidenceError('TOO_LARGE', `${what} is more than ${maxBytes} bytes`);
  if (isText) {
    if (!input.isWellFormed()) throw malformed(`${what} holds a lone surrogate`);
    return input;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
  } catch (cause) {
    throw new EvidenceError('MALFORMED', `${what} is not UTF-8`, { cause });
  }
}
