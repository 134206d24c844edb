import { hash } from 'node:crypto';

/** RFC 6962, section 2.1: the prefixes keep a leaf from ever passing for an inner node. */
const LEAF_PREFIX = '\0';
const NODE_PREFIX = 1;

export const HASH_BYTES = 32;

export function sha256(data: string | Uint8Array): Buffer {
  // By way of a string it costs a third: a buffer of its own for 32 bytes is dear to make and to collect, one out of Node's pool is not.
  return Buffer.from(hash('sha256', data, 'latin1'), 'latin1');
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

/** leafHash of each of these texts. They are written into one piece of memory: as a string, each with its prefix would be made anew to be hashed. */
export function leafHashes(texts: readonly string[]): Buffer[] {
  const longest = texts.reduce((most, text) => Math.max(most, Buffer.byteLength(text)), 0);
  const leaf = Buffer.allocUnsafe(LEAF_PREFIX.length + longest);
  const textAt = leaf.write(LEAF_PREFIX);
  return texts.map((text) => sha256(leaf.subarray(0, textAt + leaf.write(text, textAt))));
}

/** What leafHash hashes of these texts, one behind the other: the prefix and their UTF-8. They are never put together as a string. */
export function leafOf(texts: readonly string[]): Buffer {
  const leaf = Buffer.allocUnsafe(texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), LEAF_PREFIX.length));
  let at = leaf.write(LEAF_PREFIX);
  for (const text of texts) at += leaf.write(text, at);
  return leaf;
}

/** RFC 6962 inner node: SHA-256(0x01 || left || right), both of 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const node = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  node[0] = NODE_PREFIX;
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
}
