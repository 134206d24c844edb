import { hash } from 'node:crypto';
import { HASH_BYTES, nodeHash, sha256 } from './hash.ts';

/** As nodeHash has it. */
const NODE_PREFIX = 1;

/**
 * The RFC 6962 tree over some leaf hashes, level by level: [0] are the leaves, the last level is the root alone.
 * A node without a right sibling moves up unchanged, which is the RFC's split at the largest power of two.
 */
export function treeLevels(leafHashes: readonly Uint8Array[]): Uint8Array[][] {
  const levels: Uint8Array[][] = [[...leafHashes]];
  for (let level = levels[0] as Uint8Array[]; level.length > 1; ) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const left = level[i] as Uint8Array;
      const right = level[i + 1];
      above.push(right ? nodeHash(left, right) : left);
    }
    levels.push(above);
    level = above;
  }
  return levels;
}

/** The RFC 6962 Merkle tree head. Of no leaves it is SHA-256 of nothing. */
export function merkleRoot(leafHashes: readonly Uint8Array[]): Uint8Array {
  return levelsRoot(treeLevels(leafHashes));
}

export function levelsRoot(levels: readonly (readonly Uint8Array[])[]): Uint8Array {
  return levels.at(-1)?.[0] ?? sha256('');
}

/** The inclusion path of one leaf, from the leaf's sibling upwards. The nodes may be in any form, base64 for one. */
export function pathInLevels<Node>(levels: readonly (readonly Node[])[], index: number): Node[] {
  const path: Node[] = [];
  let at = index;
  for (const level of levels) {
    const sibling = level[at ^ 1];
    if (sibling !== undefined) path.push(sibling);
    at >>= 1;
  }
  return path;
}

/** The inclusion paths of all leaves, in order. */
export function inclusionPaths(leafHashes: readonly Uint8Array[]): Uint8Array[][] {
  const levels = treeLevels(leafHashes);
  return leafHashes.map((_, index) => pathInLevels(levels, index));
}

interface Position {
  /** The leaf hash, 32 bytes. */
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
}
interface Path<Hash> {
  readonly path: readonly Hash[];
}
export type Inclusion = Position & Path<Uint8Array>;

/**
 * The root that this path leads to, or undefined where the path cannot be one of leaf `index` in a tree of `size`
 * (RFC 9162, section 2.1.3.2). The path's length must be exact, so that one leaf has one proof.
 */
export function rootFromPath({ leaf, index, size, path }: Inclusion): Uint8Array | undefined {
  if (leaf.length !== HASH_BYTES || path.some((hash) => hash.length !== HASH_BYTES)) return undefined;
  let root = leaf;
  const isWhole = climb({ index, size, path }, (sibling, isLeft) => {
    root = isLeft ? nodeHash(sibling, root) : nodeHash(root, sibling);
  });
  return isWhole ? root : undefined;
}

/** The same of a path in base64. All its nodes share one piece of memory: that halves what a level costs. */
export function rootFromBase64({ leaf, index, size, path }: Position & Path<string>): Buffer | undefined {
  const node = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  node[0] = NODE_PREFIX;
  let root = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.length).toString('latin1');
  // What is not written anew is still of the level below.
  let isWritten = leaf.length === HASH_BYTES;
  const isWhole = climb({ index, size, path }, (sibling, isLeft) => {
    const [siblingAt, rootAt] = isLeft ? [1, 1 + HASH_BYTES] : [1 + HASH_BYTES, 1];
    isWritten &&= node.write(sibling, siblingAt, HASH_BYTES, 'base64') === HASH_BYTES;
    node.write(root, rootAt, HASH_BYTES, 'latin1');
    root = hash('sha256', node, 'latin1');
  });
  return isWhole && isWritten ? Buffer.from(root, 'latin1') : undefined;
}

/** Takes each sibling from the leaf upwards, with whether it stands left. False where the leaf has a path of another length. */
function climb<Hash>(
  { index, size, path }: Omit<Position, 'leaf'> & Path<Hash>,
  take: (sibling: Hash, isLeft: boolean) => void,
): boolean {
  if (!isPosition(index, size)) return false;
  let node = index;
  let last = size - 1;
  for (const sibling of path) {
    if (last === 0) return false;
    const isLeft = isOdd(node) || node === last;
    take(sibling, isLeft);
    while (isLeft && !isOdd(node) && node !== 0) {
      node = half(node);
      last = half(last);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0;
}

/** Whether the leaf stands at `index` of the tree of `size` leaves that has this root. */
export function verifyInclusion(inclusion: Inclusion, root: Uint8Array): boolean {
  const found = rootFromPath(inclusion);
  return found !== undefined && areEqual(found, root);
}

export interface Consistency {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Whether the tree of `size` begins with all leaves of the tree of `oldSize` (RFC 9162, section 2.1.4.2). Every tree
 * begins with the empty one, and equal sizes have equal roots: both take an empty proof.
 */
export function verifyConsistency({ oldSize, oldRoot, size, root, proof }: Consistency): boolean {
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > size) return false;
  if (![oldRoot, root, ...proof].every((hash) => hash.length === HASH_BYTES)) return false;
  if (oldSize === size) return proof.length === 0 && areEqual(oldRoot, root);
  if (oldSize === 0) return proof.length === 0 && areEqual(oldRoot, sha256(''));
  if (proof.length === 0) return false;
  let node = oldSize - 1;
  let last = size - 1;
  while (isOdd(node)) {
    node = half(node);
    last = half(last);
  }
  // An old tree that is a full subtree is its own first hash, which no proof repeats.
  const [first, ...rest] = (node === 0 ? [oldRoot, ...proof] : proof) as [Uint8Array, ...Uint8Array[]];
  let old = first;
  let found = first;
  for (const hash of rest) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      old = nodeHash(hash, old);
      found = nodeHash(hash, found);
      while (!isOdd(node) && node !== 0) {
        node = half(node);
        last = half(last);
      }
    } else {
      found = nodeHash(found, hash);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && areEqual(old, oldRoot) && areEqual(found, root);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function isPosition(index: number, size: number): boolean {
  return Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size;
}

// Arithmetic instead of bit operators: those cut at 32 bits, and a log may grow beyond.
function isOdd(n: number): boolean {
  return n % 2 === 1;
}

function half(n: number): number {
  return Math.floor(n / 2);
}
