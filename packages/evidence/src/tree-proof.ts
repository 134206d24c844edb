import { isCount, malformed } from './encoding.ts';
import { HASH_BYTES, nodeHash } from './hash.ts';
import { checkHashTile, TILE_HEIGHT, TILE_WIDTH, type Tile, tilePath } from './tile.ts';
import { createTree, type ReadTile } from './tree.ts';

/** The leaves `from` up to but without `to`. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/** A full subtree: 2^height leaves, the index-th of its kind. */
interface Subtree {
  readonly height: number;
  readonly index: number;
}

/**
 * The inclusion path of leaf `index` in a tree of `size`, from its sibling upwards (RFC 9162, section 2.1.3.1), made
 * from the tiles of a tree of that size. Throws MALFORMED for another index or a tile of another width.
 */
export function inclusionProof({
  index,
  size,
  readTile,
}: {
  index: number;
  size: number;
  readTile: ReadTile;
}): Uint8Array[] {
  return hashesOf(inclusionRanges(index, size), { size, readTile });
}

/**
 * The consistency proof from `oldSize` to `size` leaves (RFC 9162, section 2.1.4.1), made from the tiles of a tree of
 * `size`. It is empty where the sizes are equal or the old tree was. Throws MALFORMED as inclusionProof does.
 */
export function consistencyProof({
  oldSize,
  size,
  readTile,
}: {
  oldSize: number;
  size: number;
  readTile: ReadTile;
}): Uint8Array[] {
  return hashesOf(consistencyRanges(oldSize, size), { size, readTile });
}

/** The root of a tree of `size` leaves, from its tiles. Throws MALFORMED as inclusionProof does. */
export function rootFromTiles({ size, readTile }: { size: number; readTile: ReadTile }): Uint8Array {
  if (!isCount(size)) throw malformed('the size is not a whole number of 0 to 2^53 - 1');
  if (size === 0) return createTree().root();
  return hashesOf([{ from: 0, to: size }], { size, readTile })[0] as Uint8Array;
}

/** The tiles that inclusionProof will read: for whoever must fetch them first. */
export function tilesForInclusion(index: number, size: number): Tile[] {
  return tilesOf(inclusionRanges(index, size), size);
}

/** The tiles that consistencyProof will read. */
export function tilesForConsistency(oldSize: number, size: number): Tile[] {
  return tilesOf(consistencyRanges(oldSize, size), size);
}

/** What stands beside the leaf on the way down to it, lowest first. */
function inclusionRanges(index: number, size: number): Range[] {
  if (!isCount(index) || !isCount(size) || index >= size) throw malformed('the index is not below the size');
  const ranges: Range[] = [];
  for (let [from, to] = [0, size]; to - from > 1; ) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      ranges.unshift({ from: middle, to });
      to = middle;
    } else {
      ranges.unshift({ from, to: middle });
      from = middle;
    }
  }
  return ranges;
}

function consistencyRanges(oldSize: number, size: number): Range[] {
  if (!isCount(oldSize) || !isCount(size) || oldSize > size) throw malformed('the old size is not within the size');
  if (oldSize === 0) return [];
  const ranges: Range[] = [];
  let [from, to] = [0, size];
  while (to !== oldSize) {
    const middle = from + splitOf(to - from);
    if (oldSize <= middle) {
      ranges.unshift({ from: middle, to });
      to = middle;
    } else {
      ranges.unshift({ from, to: middle });
      from = middle;
    }
  }
  // A whole old tree is known to the verifier; a part of it is not.
  return from === 0 ? ranges : [{ from, to }, ...ranges];
}

/** RFC 9162, section 2.1.1: the largest power of two below `count`, which is 2 at least. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

/** The full subtrees of a range, left to right. Every range here begins where a subtree as large as it would. */
function subtreesOf({ from, to }: Range): Subtree[] {
  const subtrees: Subtree[] = [];
  for (let at = from; at < to; ) {
    let height = 0;
    while (at + 2 ** (height + 1) <= to) height += 1;
    subtrees.push({ height, index: at / 2 ** height });
    at += 2 ** height;
  }
  return subtrees;
}

/** Where a subtree's hash comes from: the tile, and which of its hashes lie under the subtree. */
function placeOf({ height, index }: Subtree, size: number): { tile: Tile; from: number; count: number } {
  const level = Math.floor(height / TILE_HEIGHT);
  const count = 2 ** (height % TILE_HEIGHT);
  const onLevel = Math.floor(size / TILE_WIDTH ** level);
  const tileIndex = Math.floor((index * count) / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, onLevel - tileIndex * TILE_WIDTH);
  return { tile: { level, index: tileIndex, width }, from: index * count - tileIndex * TILE_WIDTH, count };
}

function tilesOf(ranges: readonly Range[], size: number): Tile[] {
  const places = ranges.flatMap(subtreesOf).map((subtree) => placeOf(subtree, size));
  return [...new Map(places.map(({ tile }) => [tilePath(tile), tile])).values()];
}

/** The root over each range. No tile is read twice. */
function hashesOf(ranges: readonly Range[], { size, readTile }: { size: number; readTile: ReadTile }): Uint8Array[] {
  const known = new Map<string, Uint8Array>();
  const read = (tile: Tile): Uint8Array => {
    const path = tilePath(tile);
    const bytes = known.get(path) ?? readTile(path);
    checkHashTile(bytes, tile.width);
    known.set(path, bytes);
    return bytes;
  };
  const hashOf = (subtree: Subtree): Uint8Array => {
    const { tile, from, count } = placeOf(subtree, size);
    const bytes = read(tile);
    const tree = createTree();
    for (let i = from; i < from + count; i++) tree.push(bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    return tree.root();
  };
  return ranges.map((range) =>
    subtreesOf(range)
      .map(hashOf)
      .reduceRight((right, left) => nodeHash(left, right)),
  );
}
