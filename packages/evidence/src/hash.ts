import { hash } from 'node:crypto';

/** RFC 6962, section 2.1: the prefixes keep a leaf from ever passing for an inner node. */
const LEAF_PREFIX = '\0';
const NODE_PREFIX = 1;

export const HASH_BYTES = 32;

export function sha256(data: string | Uint8Array): Buffer {
  return hash('sha256', data, 'buffer');
}

/** Lowercase hex. Strings are hashed as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

/** RFC 6962 leaf hash: SHA-256(0x00 || data). A string must be well-formed, as canonical texts are. */
export function leafHash(data: string | Uint8Array): Buffer {
  // U+0000 is the one byte 0x00 in UTF-8, so a string needs no copy into a buffer.
  if (typeof data === 'string') return sha256(LEAF_PREFIX + data);
  const prefixed = Buffer.allocUnsafe(1 + data.length);
  prefixed[0] = 0;
  prefixed.set(data, 1);
  return sha256(prefixed);
}

/** RFC 6962 inner node: SHA-256(0x01 || left || right), both of 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const node = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  node[0] = NODE_PREFIX;
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
}
