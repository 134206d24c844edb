import {
  createAppender,
  formatNote,
  formatProof,
  inclusionProof,
  leafHash,
  parseNote,
  signCheckpoint,
  signCosignature,
  signingKeyFromSeed,
  tilePath,
  verifyInclusion,
} from '@agentgate/evidence';

const origin = 'agentgate.local/default';
const key = signingKeyFromSeed(Buffer.alloc(32, 2).toString('base64url'));

/** The bytes of the largest of some proofs, as `evidence prove` writes them, of a log of so many entries. */
export const proofBytes = (entries: number, witnesses: number): number => {
  const appender = createAppender();
  const tiles = new Map<string, Uint8Array>();
  const keep = () => {
    for (const { tile, bytes } of appender.takeTiles()) tiles.set(tilePath(tile), bytes);
  };
  for (let index = 0; index < entries; index++) {
    appender.push(leafHash(`entry ${index}`));
    if (index % 256 === 255) keep();
  }
  keep();
  const root = appender.root();
  const { text, signatures } = parseNote(signCheckpoint({ origin, size: entries, root }, key));
  const cosigned = Array.from({ length: witnesses }, (_, i) =>
    signCosignature(text, { name: `${origin}/witness${i + 1}`, key, time: 1_800_000_000 }),
  );
  const checkpoint = formatNote({ text, signatures: [...signatures, ...cosigned] });
  const sizes = [0, entries >> 1, entries - 1].map((index) => {
    const readTile = (path: string) => tiles.get(path) as Uint8Array;
    const path = inclusionProof({ index, size: entries, readTile });
    const isIn = verifyInclusion({ leaf: leafHash(`entry ${index}`), index, size: entries, path }, root);
    if (!isIn) throw new Error(`the proof of entry ${index} does not verify`);
    return Buffer.byteLength(formatProof({ index, path, checkpoint }));
  });
  return Math.max(...sizes);
};
