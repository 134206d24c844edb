import type { Checkpoint } from '../checkpoint.ts';
import { HASH_BYTES, sha256 } from '../hash.ts';
import { partialTiles, TILE_WIDTH, type Tile, tilePath } from '../tile.ts';
import { createAppender } from '../tree.ts';
import { type Findings, finding } from './finding.ts';
import type { Bundle, HashTile, LogFiles } from './log-files.ts';

/** The hash tiles of a log from its root down: each is held against the hash above it before anything is held against it. */
export interface LogTiles {
  /** The leaf hashes over entry bundle `index`; undefined where nothing can be held against the entries. */
  leaves(index: number, read: ReadBundle): Promise<Uint8Array | undefined>;
}

/** What was read already, so that it can be read ahead. */
export interface ReadBundle {
  readonly bundle: Bundle | undefined;
  /** The tile of level 0 over it, where that is a full one. */
  readonly tile: HashTile | undefined;
}

interface LogTilesOptions {
  files: LogFiles;
  checkpoint: Checkpoint;
  findings: Findings;
}

/** Reads the right edge and compares it with the checkpoint's root. One full tile a level is held, 8 KiB each. */
export async function openLogTiles(options: LogTilesOptions): Promise<LogTiles> {
  const { files, checkpoint, findings } = options;
  const edge = await openEdge(options);
  const held: ({ index: number; bytes: Uint8Array | undefined } | undefined)[] = [];

  const hashAbove = async (level: number, index: number): Promise<Uint8Array | undefined> => {
    const above = Math.floor(index / TILE_WIDTH);
    const bytes = isPartial(level + 1, above, checkpoint.size) ? edge[level + 1] : await full(level + 1, above);
    return bytes && hashAt(bytes, index % TILE_WIDTH);
  };

  const full = async (level: number, index: number, read?: ReadBundle): Promise<Uint8Array | undefined> => {
    const known = held[level];
    if (known?.index === index) return known.bytes;
    const tile = { level, index, width: TILE_WIDTH };
    const expected = await hashAbove(level, index);
    const found = read ? read.tile : await files.hashes(tile);
    const bytes = await judge({ tile, expected, found, bundle: read?.bundle });
    held[level] = { index, bytes };
    return bytes;
  };

  /** What stands in the tile by the word of the hash above it, even where the tile itself is wrong. */
  const judge = async ({ tile, expected, found, bundle }: Judged): Promise<Uint8Array | undefined> => {
    // Where nothing above is known to be right, the tile's own word is all there is to compare the entries with.
    if (expected === undefined && found instanceof Uint8Array) return found;
    if (expected !== undefined && found instanceof Uint8Array && areEqual(tileRoot(found), expected)) return found;
    const below = await fromBelow(files, tile, bundle);
    const isBelowRight = expected !== undefined && below !== undefined && areEqual(tileRoot(below), expected);
    findings.add(wrongTile(tile, found, isBelowRight));
    return isBelowRight ? below : undefined;
  };

  return {
    leaves: async (index, read) => (isPartial(0, index, checkpoint.size) ? edge[0] : await full(0, index, read)),
  };
}

interface Judged {
  tile: Tile;
  expected: Uint8Array | undefined;
  found: HashTile | undefined;
  bundle: Bundle | undefined;
}

/** The partial tiles by level: as the checkpoint's root says they are or, where nothing leads to it, as they were found. */
async function openEdge({ files, checkpoint, findings }: LogTilesOptions): Promise<(Uint8Array | undefined)[]> {
  const { size, root } = checkpoint;
  const tiles = partialTiles(size);
  const found = await Promise.all(tiles.map((tile) => files.hashes(tile)));
  const byLevel = (bytes: readonly (HashTile | undefined)[]): (Uint8Array | undefined)[] => {
    const edge: (Uint8Array | undefined)[] = [];
    for (const [i, { level }] of tiles.entries()) {
      const each = bytes[i];
      edge[level as number] = each instanceof Uint8Array ? each : undefined;
    }
    return edge;
  };
  const isRight = (bytes: readonly (HashTile | undefined)[]): boolean => {
    if (!bytes.every((each) => each instanceof Uint8Array)) return false;
    const edge = byLevel(bytes);
    const readTile = (path: string) => edge[Number(path.split('/')[1])] as Uint8Array;
    return areEqual(createAppender({ size, readTile }).root(), root);
  };
  if (isRight(found)) return byLevel(found);

  const below = await Promise.all(tiles.map((tile) => fromBelow(files, tile)));
  const isBelowRight = isRight(below);
  let isTold = false;
  for (const [i, tile] of tiles.entries()) {
    const [each, made] = [found[i], below[i]];
    if (each instanceof Uint8Array && (!isBelowRight || areEqual(each, made as Uint8Array))) continue;
    findings.add(wrongTile(tile, each, isBelowRight));
    isTold = true;
  }
  if (!isTold) {
    const reason = `the tiles of ${size} entries do not lead to the root that the checkpoint names`;
    findings.add(finding('ROOT_MISMATCH', { what: 'the checkpoint was signed over other entries than these', reason }));
  }
  return byLevel(isBelowRight ? below : found);
}

/** What a tile would have to hold by what lies under it: its entries, or the tiles of the level below. */
async function fromBelow(
  files: LogFiles,
  { level, index, width }: Tile,
  known?: Bundle,
): Promise<Uint8Array | undefined> {
  if (level === 0) {
    const bundle = known ?? (await files.entries(index, width));
    return bundle?.isExact ? Buffer.concat(bundle.leaves) : undefined;
  }
  const hashes: Uint8Array[] = [];
  while (hashes.length < width) {
    const tile = { level: (level as number) - 1, index: index * TILE_WIDTH + hashes.length, width: TILE_WIDTH };
    const bytes = await files.hashes(tile);
    if (!(bytes instanceof Uint8Array)) return undefined;
    hashes.push(tileRoot(bytes));
  }
  return Buffer.concat(hashes);
}

function wrongTile(tile: Tile, found: HashTile | undefined, isBelowRight: boolean) {
  const path = tilePath(tile);
  const first = tile.index * TILE_WIDTH ** ((tile.level as number) + 1);
  const index = isBelowRight ? {} : { index: first };
  const below = tile.level === 0 ? 'the entries' : 'the tiles';
  const rest = isBelowRight
    ? `${below} under it lead to the checkpoint all the same`
    : `${below} under it do not lead to the checkpoint either`;
  if (found === undefined) return finding('FILE_MISSING', { ...index, what: `${path} is missing`, reason: rest });
  const wrong = found === 'malformed' ? 'it is not of its length' : 'its hashes do not lead to the checkpoint';
  return finding('TILE_CHANGED', { ...index, what: `${path} was changed`, reason: `${wrong}; ${rest}` });
}

/** The root over a full tile's 256 hashes. */
function tileRoot(bytes: Uint8Array): Uint8Array {
  const node = Buffer.allocUnsafe(1 + 2 * HASH_BYTES);
  node[0] = 1;
  let level = bytes;
  while (level.length > HASH_BYTES) {
    const above = Buffer.allocUnsafe(level.length / 2);
    for (let at = 0; at < above.length; at += HASH_BYTES) {
      node.set(level.subarray(2 * at, 2 * at + 2 * HASH_BYTES), 1);
      above.set(sha256(node), at);
    }
    level = above;
  }
  return level;
}

/** The tile on the right edge of its level is partial, unless the level ends in a full one. */
function isPartial(level: number, index: number, size: number): boolean {
  return index === Math.floor(size / TILE_WIDTH ** (level + 1));
}

function hashAt(bytes: Uint8Array, position: number): Uint8Array {
  return bytes.subarray(position * HASH_BYTES, (position + 1) * HASH_BYTES);
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
