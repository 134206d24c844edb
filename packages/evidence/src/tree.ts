import { isCount, malformed } from './encoding.ts';
import { HASH_BYTES, nodeHash, sha256 } from './hash.ts';
import { checkHashTile, partialTiles, TILE_HEIGHT, TILE_WIDTH, type Tile, tilePath } from './tile.ts';

/**
 * The right edge of an RFC 6962 tree: the roots of its largest full subtrees, from left to right, one for each bit
 * that is set in `size`. It is all that it takes to append, and to know the root.
 */
export interface Edge {
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
}

/** A tree that only its edge is kept of: for whoever checks a log from its first leaf on, in flat memory. */
export interface Tree {
  readonly size: number;
  /** Takes the next leaf's hash, whose bytes it keeps. Throws MALFORMED unless they are 32. */
  push(leafHash: Uint8Array): void;
  root(): Uint8Array;
  edge(): Edge;
}

export interface TileBytes {
  readonly tile: Tile;
  /** Never changed again. */
  readonly bytes: Uint8Array;
}

/** A tree that also yields its hash tiles: for whoever publishes a log. */
export interface Appender extends Tree {
  /**
   * The hash tiles, full and partial, that came to be since the last call or since the start, in the order of
   * tilesOfGrowth. Full tiles pile up between calls, 8 KiB for 256 leaves.
   */
  takeTiles(): TileBytes[];
}

/** Reads a tile of a log by its path, as tilePath writes it. Whether its bytes are right the caller finds by the root. */
export type ReadTile = (path: string) => Uint8Array;

/** Of no leaves it is SHA-256 of nothing. Throws MALFORMED unless the edge has one hash for each bit of its size. */
export function edgeRoot({ size, hashes }: Edge): Uint8Array {
  if (!isCount(size) || hashes.length !== bitsOf(size) || !hashes.every(isHash)) {
    throw malformed('the edge has not one hash for each bit of its size');
  }
  return hashes.length === 0 ? sha256('') : hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Starts at an edge or, without one, at no leaves. Throws MALFORMED where the edge is none. */
export function createTree(edge?: Edge): Tree {
  return growingTree(edge ?? { size: 0, hashes: [] });
}

/**
 * Goes on from a published tree of `size` leaves, whose partial hash tiles it reads (7 at most), or starts a new one.
 * Throws MALFORMED where a tile has another width. Compare the root with the checkpoint's before you append.
 */
export function createAppender(from?: { readonly size: number; readonly readTile: ReadTile }): Appender {
  const rows: Row[] = [];
  const full: TileBytes[] = [];
  const edge = from === undefined ? undefined : readEdge(from, rows);
  const tree = growingTree(edge ?? { size: 0, hashes: [] }, (level, hash) => {
    rows[level] ??= { index: 0, width: 0, taken: 0, bytes: Buffer.allocUnsafe(TILE_WIDTH * HASH_BYTES) };
    const row = rows[level] as Row;
    row.bytes.set(hash, row.width * HASH_BYTES);
    row.width += 1;
    if (row.width < TILE_WIDTH) return;
    full.push({ tile: { level, index: row.index, width: TILE_WIDTH }, bytes: row.bytes });
    rows[level] = { index: row.index + 1, width: 0, taken: 0, bytes: Buffer.allocUnsafe(TILE_WIDTH * HASH_BYTES) };
  });
  return Object.assign(tree, { takeTiles: () => takeTiles(rows, full) });
}

/** The tile that grows on one level. */
interface Row {
  index: number;
  width: number;
  /** The width that takeTiles last gave out: a partial tile that has not grown is not given out again. */
  taken: number;
  bytes: Buffer;
}

function takeTiles(rows: readonly Row[], full: TileBytes[]): TileBytes[] {
  const done = full.splice(0);
  return rows.flatMap((row, level) => {
    const ofLevel = done.filter(({ tile }) => tile.level === level);
    const { index, width, taken } = row;
    row.taken = width;
    if (width === taken) return ofLevel;
    // A copy, since the row goes on growing.
    const bytes = Buffer.from(row.bytes.subarray(0, width * HASH_BYTES));
    return [...ofLevel, { tile: { level, index, width }, bytes }];
  });
}

/** Called with each new hash that stands in a tile of that level. */
type OnTileHash = (level: number, hash: Uint8Array) => void;

function growingTree(start: Edge, onTileHash?: OnTileHash): Tree {
  edgeRoot(start);
  let size = start.size;
  const hashes = [...start.hashes];
  return {
    get size() {
      return size;
    },
    push(leafHash) {
      if (!isHash(leafHash)) throw malformed(`a leaf hash is not of ${HASH_BYTES} bytes`);
      onTileHash?.(0, leafHash);
      let node = leafHash;
      let height = 0;
      // Each bit that is set at the end of the size is a full subtree which this node makes twice as large.
      for (let rest = size; rest % 2 === 1; rest = (rest - 1) / 2) {
        node = nodeHash(hashes.pop() as Uint8Array, node);
        height += 1;
        if (height % TILE_HEIGHT === 0) onTileHash?.(height / TILE_HEIGHT, node);
      }
      hashes.push(node);
      size += 1;
    },
    root: () => edgeRoot({ size, hashes }),
    edge: () => ({ size, hashes: [...hashes] }),
  };
}

/** Fills the rows with what the partial tiles hold. The edge of each of them, highest first, is the tree's edge. */
function readEdge({ size, readTile }: { size: number; readTile: ReadTile }, rows: Row[]): Edge {
  if (!isCount(size)) throw malformed('the size is not a whole number of 0 to 2^53 - 1');
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const index = Math.floor(count / TILE_WIDTH);
    rows[level] = { index, width: 0, taken: 0, bytes: Buffer.allocUnsafe(TILE_WIDTH * HASH_BYTES) };
  }
  const edges = partialTiles(size).map((tile) => {
    const bytes = readTile(tilePath(tile));
    checkHashTile(bytes, tile.width);
    const row = rows[tile.level as number] as Row;
    row.bytes.set(bytes);
    row.width = tile.width;
    row.taken = tile.width;
    const inTile = createTree();
    for (let i = 0; i < tile.width; i++) inTile.push(row.bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    return inTile.edge().hashes;
  });
  return { size, hashes: edges.reverse().flat() };
}

function isHash(hash: Uint8Array): boolean {
  return hash.length === HASH_BYTES;
}

function bitsOf(size: number): number {
  let bits = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) bits += rest % 2;
  return bits;
}
