import {
  type Checkpoint,
  createAppender,
  generateSigningKey,
  leafHash,
  NOTE_COSIGNATURE,
  NOTE_ED25519,
  noteKey,
  type SigningKey,
  signCheckpoint,
  tilePath,
} from '@agentgate/evidence';
import { createWitness, type Seen, type WitnessState } from '@agentgate/witness';
import type { SignedCheckpoint } from '../src/cosigning.ts';
import { createLogProofs } from '../src/log-proofs.ts';
import type { AddCheckpoint } from '../src/witness.ts';

export const origin = 'log.example/gate';

/** A log as audit publishes it; another `salt` is another history under the same key. */
export const growingLog = (salt = '', key: SigningKey = generateSigningKey()) => {
  const tiles = new Map<string, Uint8Array>();
  const tree = createAppender();
  return {
    key,
    tiles,
    noteKey: noteKey({ name: origin, type: NOTE_ED25519, publicKey: key.publicKey }),
    proofs: createLogProofs(async (path) => {
      const found = tiles.get(path);
      if (!found) throw new Error(`ENOENT ${path}`);
      return found;
    }),
    /** Appends entries and signs a checkpoint over all. */
    grow: (entries: number, text = (i: number) => `entry ${i}${salt}`): SignedCheckpoint & Pick<Checkpoint, 'root'> => {
      for (let i = 0; i < entries; i++) tree.push(leafHash(text(tree.size)));
      for (const { tile, bytes } of tree.takeTiles()) tiles.set(tilePath(tile), bytes);
      const [size, root] = [tree.size, tree.root()];
      return { size, root, note: signCheckpoint({ origin, size, root }, key) };
    },
  };
};

/** The real witness, as `agentgate witness` runs it, with its memory in this process; a test may stand in its way. */
export const realWitness = (name: string, logs: readonly ReturnType<typeof growingLog>[]) => {
  const key = generateSigningKey();
  const seen = new Map<string, Seen>();
  const state: WitnessState = {
    latest: (of) => seen.get(of),
    advance: (of, from, to) => {
      if ((seen.get(of)?.size ?? 0) !== from.size) return false;
      seen.set(of, to);
      return true;
    },
    keepFork: () => {},
  };
  const witness = createWitness({
    signer: { name, key },
    logs: new Map([[origin, logs.map((log) => log.noteKey)]]),
    state,
    now: () => 1_700_000_000_000,
  });
  const asked: string[] = [];
  const control = { before: async () => {}, asked, seen };
  const add: AddCheckpoint = async (body) => {
    asked.push(body);
    await control.before();
    return witness.addCheckpoint(Buffer.from(body));
  };
  return { ...control, control, add, key: noteKey({ name, type: NOTE_COSIGNATURE, publicKey: key.publicKey }) };
};

/** The sizes that a witness was asked about, as `old→size`. */
export const sizesIn = (asked: readonly string[]): string[] =>
  asked.map((body) => `${/^old (\d+)/.exec(body)?.[1]}→${body.split('\n\n')[1]?.split('\n')[1]}`);
