import {
  EvidenceError,
  formatSignatureLine,
  type NoteKey,
  type NoteSigner,
  parseAddCheckpoint,
  parseCheckpoint,
  parseNote,
  sha256,
  signCosignature,
  verifyCheckpoint,
  verifyConsistency,
} from '@agentgate/evidence';

/** The last checkpoint of a log that the witness cosigned, or was about to. */
export interface Seen {
  size: number;
  root: Uint8Array;
}

/** What the witness remembers. Whoever loses or rolls back this memory must not sign with the same key again. */
export interface WitnessState {
  latest(origin: string): Seen | undefined;
  /**
   * Durable before it returns true; false where the log's latest is not `from` any more. `note` is the checkpoint
   * itself: beside another of the same size it proves a fork. Throws where it may not be durable: nothing may be signed.
   */
  advance(origin: string, from: Seen, to: Seen & { note: string }): boolean;
  /** A checkpoint under the log's own key that contradicts the latest one. */
  keepFork(origin: string, fork: Seen & { note: string }): void;
}

export interface Answer {
  status: 200 | 400 | 403 | 404 | 409 | 422;
  type: string;
  body: string;
  /** For the log file: what an operator should know of it. */
  about?: { origin: string; size: number; fork?: true };
}

export interface WitnessOptions {
  signer: NoteSigner;
  /** The keys of each log that is witnessed, by its origin. */
  logs: ReadonlyMap<string, readonly NoteKey[]>;
  state: WitnessState;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface Witness {
  /** The body of C2SP tlog-witness `add-checkpoint`, and its answer. Throws what the state throws. */
  addCheckpoint(body: Uint8Array): Answer;
}

const nothing: Seen = { size: 0, root: sha256('') };

/** Signs only what continues what it signed before (c2sp.org/tlog-witness). The checks are in the specification's order. */
export const createWitness = ({ signer, logs, state, now }: WitnessOptions): Witness => ({
  addCheckpoint: (body) => {
    const asked = parse(body);
    if ('status' in asked) return asked;
    const { oldSize, proof, note, text, origin, size, root } = asked;
    const about = { origin, size };
    const keys = logs.get(origin);
    if (!keys) return refuse(404, 'this witness does not know the log');
    const signed = verifyCheckpoint(note, { origin, keys });
    if (!signed.ok) return refuse(403, signed.reason);
    if (oldSize > size) return refuse(400, 'the old size is above the size of the checkpoint');
    const latest = state.latest(origin) ?? nothing;
    const isFork = size === latest.size && !areEqual(root, latest.root);
    if (isFork) state.keepFork(origin, { size, root, note });
    if (oldSize !== latest.size || isFork) return conflict(latest, isFork ? { ...about, fork: true } : about);
    if (!verifyConsistency({ oldSize, oldRoot: latest.root, size, root, proof }))
      return { ...refuse(422, 'the checkpoint does not continue the one before by this proof'), about };
    // The same again is signed again: it may be asked by whoever did not hear the first answer.
    const isNew = size > latest.size;
    if (isNew && !state.advance(origin, latest, { size, root, note }))
      return conflict(state.latest(origin) ?? nothing, about);
    const cosignature = signCosignature(text, { ...signer, time: Math.floor(now() / 1000) });
    return { status: 200, type: plain, body: formatSignatureLine(cosignature), about };
  },
});

const plain = 'text/plain; charset=utf-8';

const refuse = (status: Answer['status'], reason: string): Answer => ({ status, type: plain, body: `${reason}\n` });

/** Tells the size to begin from. */
const conflict = ({ size }: Seen, about: NonNullable<Answer['about']>): Answer => ({
  status: 409,
  type: 'text/x.tlog.size',
  body: `${size}\n`,
  about,
});

const parse = (body: Uint8Array) => {
  try {
    const { oldSize, proof, checkpoint: note } = parseAddCheckpoint(body);
    const { text } = parseNote(note);
    return { oldSize, proof, note, text, ...parseCheckpoint(text) };
  } catch (error) {
    if (error instanceof EvidenceError) return refuse(400, error.message);
    throw error;
  }
};

const areEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
