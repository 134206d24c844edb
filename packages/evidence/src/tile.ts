import { isCount, malformed } from './encoding.ts';
import { MAX_ENTRY_BYTES } from './entry.ts';
import { EvidenceError } from './error.ts';
import { HASH_BYTES } from './hash.ts';

/** c2sp.org/tlog-tiles, "Merkle Tree": a tile is 8 levels of the tree, 256 hashes wide. */
export const TILE_HEIGHT = 8;
export const TILE_WIDTH = 256;

/** A resource of a tiled log: some hashes of the tree, or the entries under a tile of level 0. */
export interface Tile {
  /** 0 to 63; the hashes of level l are the roots of 256^l leaves each. */
  readonly level: number | 'entries';
  /** Counted within the level. */
  readonly index: number;
  /** How many hashes or entries: 1 to 256. Below 256 the tile is partial. */
  readonly width: number;
}

const MAX_LEVEL = 63;
const LENGTH_BYTES = 2;
const PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/** `tile/<L>/<N>[.p/<W>]`, relative to the log's prefix. Throws MALFORMED where there is no such tile. */
export function tilePath({ level, index, width }: Tile): string {
  if (level !== 'entries' && !(isCount(level) && level <= MAX_LEVEL))
    throw malformed("the tile's level is not 0 to 63");
  if (!isCount(index)) throw malformed("the tile's index is not a whole number of 0 to 2^53 - 1");
  checkWidth(width);
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Throws MALFORMED unless it is the one path of a tile. */
export function parseTilePath(path: string): Tile {
  const [, level, number, width] = PATH.exec(path) ?? [];
  const tile = {
    level: level === 'entries' ? level : Number(level),
    index: Number(number?.replaceAll(/[x/]/g, '')),
    width: width === undefined ? TILE_WIDTH : Number(width),
  } as const;
  if (number === undefined || tilePath(tile) !== path) throw malformed('this is no path of a tile');
  return tile;
}

/** The hashes side by side. Throws MALFORMED unless they are 1 to 256 of 32 bytes. */
export function encodeHashTile(hashes: readonly Uint8Array[]): Buffer {
  checkWidth(hashes.length);
  if (hashes.some((hash) => hash.length !== HASH_BYTES)) throw malformed(`a hash is not of ${HASH_BYTES} bytes`);
  return Buffer.concat(hashes);
}

/** Views of the hashes, not copies. Throws MALFORMED unless the tile holds exactly `width` of them. */
export function decodeHashTile(bytes: Uint8Array, width: number): Uint8Array[] {
  checkHashTile(bytes, width);
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** Throws MALFORMED unless the tile holds exactly `width` hashes. */
export function checkHashTile(bytes: Uint8Array, width: number): void {
  checkWidth(width);
  if (bytes.length === width * HASH_BYTES) return;
  throw malformed(`the tile is ${bytes.length} bytes, not ${width} hashes of ${HASH_BYTES}`);
}

/**
 * An entry bundle: each entry after its length, a 16-bit big-endian number. Throws MALFORMED unless they are 1 to 256,
 * TOO_LARGE for an entry beyond 65,535 bytes.
 */
export function encodeEntries(entries: readonly Uint8Array[]): Buffer {
  checkWidth(entries.length);
  const bytes = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + LENGTH_BYTES + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES)
      throw new EvidenceError('TOO_LARGE', `an entry is more than ${MAX_ENTRY_BYTES} bytes`);
    at = bytes.writeUInt16BE(entry.length, at);
    bytes.set(entry, at);
    at += entry.length;
  }
  return bytes;
}

/** Views of the entries, not copies. Throws MALFORMED unless the bundle holds exactly `width` entries and no more. */
export function decodeEntries(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    // Past the end there is no byte, and a comparison with NaN is false.
    const start = at + LENGTH_BYTES;
    const end = start + ((bytes[at] as number) << 8) + (bytes[at + 1] as number);
    if (!(end <= bytes.length)) throw malformed(`the bundle ends within entry ${entries.length} of ${width}`);
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  if (at !== bytes.length) throw malformed(`the bundle holds more than ${width} entries`);
  return entries;
}

/**
 * The tiles that a log publishes when it grows from `from` to `to` leaves: entry bundles, then hash tiles from level 0
 * up, each level in order, full ones before the partial one. Throws MALFORMED where it does not grow.
 */
export function* tilesOfGrowth(from: number, to: number): Generator<Tile> {
  if (!isCount(from) || !isCount(to) || from > to) throw malformed('a log grows from a size to a larger one');
  yield* growthOfLevel('entries', { from, to });
  let [before, after] = [from, to];
  for (let level = 0; after > before; level++) {
    yield* growthOfLevel(level, { from: before, to: after });
    before = Math.floor(before / TILE_WIDTH);
    after = Math.floor(after / TILE_WIDTH);
  }
}

/** `from` and `to` count what stands on the level: its entries or its hashes. */
function* growthOfLevel(level: Tile['level'], { from, to }: { from: number; to: number }): Generator<Tile> {
  const full = Math.floor(to / TILE_WIDTH);
  for (let index = Math.floor(from / TILE_WIDTH); index < full; index++) yield { level, index, width: TILE_WIDTH };
  const width = to % TILE_WIDTH;
  if (to > from && width > 0) yield { level, index: full, width };
}

/** The hash tiles that stand on the right edge of a tree of `size` leaves: the partial ones, lowest level first. */
export function partialTiles(size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH;
    if (width > 0) tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width });
  }
  return tiles;
}

function checkWidth(width: number): void {
  if (!(Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH))
    throw malformed("a tile's width is not 1 to 256");
}
