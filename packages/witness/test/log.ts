import {
  consistencyProof,
  createAppender,
  formatAddCheckpoint,
  generateSigningKey,
  leafHash,
  NOTE_ED25519,
  noteKey,
  noteVerifierKey,
  signCheckpoint,
  tilePath,
} from '@agentgate/evidence';

/** A log for tests: as many leaves as asked for; `salt` makes another history from leaf `from` on, under the same key. */
export const createLog = (origin: string, size = 40, key = generateSigningKey()) => {
  const grow = ({ salt = '', from = 0 } = {}) => {
    const tiles = new Map<string, Uint8Array>();
    const roots: Uint8Array[] = [];
    const appender = createAppender();
    const keep = () => {
      for (const { tile, bytes } of appender.takeTiles()) tiles.set(tilePath(tile), bytes);
      roots.push(appender.root());
    };
    keep();
    for (let i = 0; i < size; i++) {
      appender.push(leafHash(`leaf ${i}${i >= from ? salt : ''}`));
      keep();
    }
    const readTile = (path: string) => tiles.get(path) as Uint8Array;
    const note = (at: number) => signCheckpoint({ origin, size: at, root: roots[at] as Uint8Array }, key);
    const proof = (oldSize: number, at: number) => consistencyProof({ oldSize, size: at, readTile });
    const ask = (oldSize: number, at: number, opts: { proof?: Uint8Array[]; note?: string } = {}) =>
      formatAddCheckpoint({
        oldSize,
        proof: opts.proof ?? (oldSize <= at ? proof(oldSize, at) : []),
        checkpoint: opts.note ?? note(at),
      });
    return { root: (at: number) => roots[at] as Uint8Array, note, proof, ask };
  };
  return {
    origin,
    key,
    grow,
    noteKey: noteKey({ name: origin, type: NOTE_ED25519, publicKey: key.publicKey }),
    vkey: noteVerifierKey(origin, key.publicKey),
  };
};
