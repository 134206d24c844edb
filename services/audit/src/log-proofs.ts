import {
  consistencyProof,
  HASH_BYTES,
  inclusionProof,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tilesForConsistency,
  tilesForInclusion,
} from '@agentgate/evidence';

/** Proofs about checkpoints whose tiles are in the published folder. They reject where a tile cannot be read. */
export interface LogProofs {
  consistency(oldSize: number, size: number): Promise<Uint8Array[]>;
  inclusion(index: number, size: number): Promise<Uint8Array[]>;
}

export const createLogProofs = (read: (path: string) => Promise<Uint8Array>): LogProofs => {
  const readAll = async (tiles: readonly Tile[]) => {
    const found = await Promise.all(tiles.map(async (tile) => [tilePath(tile), await readTile(tile)] as const));
    const bytes = new Map(found);
    return (path: string) => bytes.get(path) as Uint8Array;
  };
  /** A partial tile goes once its full one is there, which begins with the same hashes. */
  const readTile = async (tile: Tile): Promise<Uint8Array> => {
    try {
      return await read(tilePath(tile));
    } catch (error) {
      if (tile.width === TILE_WIDTH) throw error;
      return (await read(tilePath({ ...tile, width: TILE_WIDTH }))).subarray(0, tile.width * HASH_BYTES);
    }
  };
  return {
    consistency: async (oldSize, size) =>
      consistencyProof({ oldSize, size, readTile: await readAll(tilesForConsistency(oldSize, size)) }),
    inclusion: async (index, size) =>
      inclusionProof({ index, size, readTile: await readAll(tilesForInclusion(index, size)) }),
  };
};
