import { MAX_ENTRY_BYTES } from '../entry.ts';
import { HASH_BYTES, leafHash } from '../hash.ts';
import { MAX_NOTE_BYTES } from '../note.ts';
import { TILE_WIDTH, type Tile, tilePath } from '../tile.ts';

/**
 * Reads a file of the log by its path below the log's prefix: undefined where there is none. It resolves to at most
 * `maxBytes + 1` bytes: one more than allowed says that the file is too large. It rejects where it cannot tell, and so
 * does the verifier: what could not be read is not evidence of anything.
 */
export type ReadFile = (path: string, maxBytes: number) => Promise<Uint8Array | undefined>;

/** The files of a log in their forms. What they hold is not verified here. */
export interface LogFiles {
  checkpoint(): Promise<Uint8Array | undefined>;
  hashes(tile: Tile): Promise<HashTile | undefined>;
  /** The entries as far as they can be told apart: never more than 256, and fewer than `width` where the bundle ends early. */
  entries(index: number, width: number): Promise<Bundle | undefined>;
}

/** The hashes side by side, exactly as many as the tile is wide. */
export type HashTile = Uint8Array | 'malformed';

export interface Bundle {
  readonly entries: readonly Uint8Array[];
  readonly leaves: readonly Uint8Array[];
  /** Whether it holds exactly the entries that were asked for. */
  readonly isExact: boolean;
}

const LENGTH_BYTES = 2;

export function createLogFiles(read: ReadFile): LogFiles {
  /** A partial tile may be gone once the full one is there (c2sp.org/tlog-tiles, "Partial Tiles"). */
  const readTile = async (tile: Tile, bytesEach: number): Promise<{ bytes: Uint8Array; width: number } | undefined> => {
    const bytes = await read(tilePath(tile), tile.width * bytesEach);
    if (bytes !== undefined || tile.width === TILE_WIDTH) return bytes && { bytes, width: tile.width };
    const full = await read(tilePath({ ...tile, width: TILE_WIDTH }), TILE_WIDTH * bytesEach);
    return full && { bytes: full, width: TILE_WIDTH };
  };
  return {
    checkpoint: () => read('checkpoint', MAX_NOTE_BYTES),
    async hashes(tile) {
      const found = await readTile(tile, HASH_BYTES);
      if (found === undefined) return undefined;
      if (found.bytes.length !== found.width * HASH_BYTES) return 'malformed';
      return found.bytes.subarray(0, tile.width * HASH_BYTES);
    },
    async entries(index, width) {
      const found = await readTile({ level: 'entries', index, width }, LENGTH_BYTES + MAX_ENTRY_BYTES);
      if (found === undefined) return undefined;
      const { entries, isWhole } = split(found.bytes);
      const isExact = isWhole && entries.length === found.width;
      const wanted = found.width > width ? entries.slice(0, width) : entries;
      return { entries: wanted, leaves: wanted.map(leafHash), isExact };
    },
  };
}

/** As decodeEntries reads a bundle, but of a broken one it gives what can be read: a verifier says where it broke. */
function split(bytes: Uint8Array): { entries: Uint8Array[]; isWhole: boolean } {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && entries.length < TILE_WIDTH) {
    const start = at + LENGTH_BYTES;
    const end = start + ((bytes[at] as number) << 8) + (bytes[at + 1] as number);
    if (!(end <= bytes.length)) break;
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  return { entries, isWhole: at === bytes.length };
}
