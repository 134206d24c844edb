import {
  createTree,
  decodeEntries,
  leafHash,
  NOTE_ED25519,
  noteKey,
  rootFromTiles,
  TILE_WIDTH,
  tilePath,
  verifyCheckpoint,
} from '@agentgate/evidence';

export interface VerifiedFolder {
  size: number;
  root: string;
  texts: string[];
}

/** A published log by its files alone: the checkpoint's signature, its root from the hash tiles, and from the entries. Throws. */
export const verifyFolder = (
  read: (path: string) => Uint8Array,
  { origin, publicKey }: { origin: string; publicKey: string },
): VerifiedFolder => {
  const keys = [noteKey({ name: origin, type: NOTE_ED25519, publicKey })];
  const verdict = verifyCheckpoint(read('checkpoint'), { origin, keys });
  if (!verdict.ok) throw new Error(`checkpoint: ${verdict.reason}`);
  const { size, root } = verdict.checkpoint;
  // A partial tile may be gone once the full one is there.
  const readTile = (path: string): Uint8Array => {
    const [, whole, width] = /^(.*)\.p\/([0-9]+)$/.exec(path) ?? [];
    try {
      return read(path);
    } catch (error) {
      if (whole === undefined || whole.startsWith('tile/entries/')) throw error;
      return read(whole).subarray(0, Number(width) * 32);
    }
  };
  const fromTiles = rootFromTiles({ size, readTile });
  const tree = createTree();
  const texts: string[] = [];
  for (let index = 0; index * TILE_WIDTH < size; index++) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    for (const entry of decodeEntries(read(tilePath({ level: 'entries', index, width })), width)) {
      tree.push(leafHash(entry));
      texts.push(Buffer.from(entry).toString());
    }
  }
  for (const [what, found] of [
    ['tiles', fromTiles],
    ['entries', tree.root()],
  ] as const)
    if (Buffer.compare(found, root) !== 0) throw new Error(`the ${what} do not lead to the root of ${size}`);
  return { size, root: Buffer.from(root).toString('hex'), texts };
};
