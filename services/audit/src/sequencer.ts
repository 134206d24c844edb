import {
  type Appender,
  type Edge,
  encodeEntries,
  formatNote,
  type NoteSignature,
  parseNote,
  type SigningKey,
  signCheckpoint,
  TILE_WIDTH,
  tilePath,
  tilesOfGrowth,
} from '@agentgate/evidence';
import type { Cosign, SignedCheckpoint } from './cosigning.ts';
import type { NewEntry } from './log-store.ts';

/** A file of the published folder, whose path is relative to it. */
export interface LogFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The folder that everybody reads. What `put` and the renamed checkpoint's `settle` resolved for outlives a crash. */
export interface LogFolder {
  open(): Promise<void>;
  /** Rejects where a path holds other bytes already; the same bytes are fine. */
  put(files: readonly LogFile[]): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  stageCheckpoint(note: string): Promise<{ rename(): void; settle(): Promise<void> }>;
  hasCheckpoint(): Promise<boolean>;
  removePartials(path: string): Promise<void>;
}

/** Remembers, apart from the log, the one checkpoint that the next must follow, and who may sign it. Each throws once the lease is another's. */
export interface LogLock {
  checkpoint(): string | undefined;
  /** Compare and swap, durable on return. Throws where the last one is not `from`. */
  replace(from: string | undefined, to: string): void;
  /** Runs it while no other process can take the lease. */
  whileHeld<T>(work: () => T): T;
}

export interface SequencerOptions {
  origin: string;
  key: SigningKey;
  folder: LogFolder;
  lock: LogLock;
  cosign?: Cosign | undefined;
  /** A checkpoint is in the published folder, with what cosignatures it got. */
  onPublished: (checkpoint: Published) => void;
  /** What can wait went wrong: cosignatures, cleaning up. */
  onTrouble: (error: unknown, what: string) => void;
  /** Nothing may be signed or acknowledged any more. */
  onFailure: (error: unknown, what: string) => void;
}

export interface Published {
  size: number;
  /** The signed note as it is published. */
  note: string;
}

/** Makes a tiled log out of entries that are on disk already. */
export interface Sequencer {
  /** The next entry, within the transaction that writes it. */
  push(entry: Pick<NewEntry, 'bytes' | 'leafHash'>): void;
  edge(): Edge;
  readonly size: number;
  /** The last checkpoint in the published folder. */
  published(): Published;
  /** Resolves once a checkpoint is durable that covers all that was pushed before. */
  checkpoint(): Promise<void>;
  /** Publishes the last checkpoint again: silence would look like peace, and witnesses say anew that they saw it. */
  heartbeat(): Promise<void>;
  /** Resolves once the newest checkpoint is in the published folder. */
  close(): Promise<void>;
}

/** Where a log stands after a restart, found by `recoverLog`. */
export interface LogState {
  tree: Appender;
  /** The last checkpoint that was signed; undefined for a log that has none. */
  signed: SignedCheckpoint | undefined;
  /** The entries from the last full bundle of that checkpoint on. */
  recent: readonly string[];
}

export const createSequencer = (state: LogState, options: SequencerOptions): Sequencer => {
  const { origin, key, folder, lock, cosign, onPublished, onTrouble, onFailure } = options;
  const { tree } = state;
  let signed = state.signed;
  let published: Published = { size: 0, note: '' };
  /** The entries of the bundle that is not full yet, and of those after it: from `first` on. */
  let first = bundleStart(signed?.size ?? 0);
  let recent: Uint8Array[] = state.recent.map((text) => Buffer.from(text));
  /** Full tiles whose partial ones go with the next checkpoint: who has just read the last one finds what it names. */
  let filled: string[] = [];
  let checkpointing: Promise<void> | undefined;
  let publishing: Promise<void> | undefined;
  let again = false;

  const takeFiles = (from: number): LogFile[] => {
    const files = tree.takeTiles().map(({ tile, bytes }) => ({ path: tilePath(tile), bytes }));
    const bundles = [...tilesOfGrowth(from, tree.size)].filter((tile) => tile.level === 'entries');
    return [
      ...bundles.map((tile) => {
        const at = tile.index * TILE_WIDTH - first;
        return { path: tilePath(tile), bytes: encodeEntries(recent.slice(at, at + tile.width)) };
      }),
      ...files,
    ];
  };
  const signNext = async () => {
    const from = signed?.size ?? 0;
    const { size } = tree;
    const root = tree.root();
    const files = takeFiles(from);
    const start = bundleStart(size);
    recent = recent.slice(start - first);
    first = start;
    await folder.put(files);
    const note = signCheckpoint({ origin, size, root }, key);
    lock.replace(signed?.note, note);
    signed = { size, note };
    const old = filled;
    filled = files.map(({ path }) => path).filter((path) => !path.includes('.p/'));
    publishSoon();
    for (const path of old)
      folder.removePartials(path).catch((error: unknown) => onTrouble(error, `partial tiles of ${path}`));
  };

  const publishOne = async (checkpoint: SignedCheckpoint) => {
    const cosignatures = cosign
      ? await cosign(checkpoint).catch((error: unknown): readonly NoteSignature[] => {
          onTrouble(error, 'no witness was asked');
          return [];
        })
      : [];
    const note = withCosignatures(checkpoint.note, cosignatures);
    const staged = await folder.stageCheckpoint(note);
    // Whoever takes the lease over publishes what is newer: this must not replace it.
    lock.whileHeld(staged.rename);
    await staged.settle();
    published = { size: checkpoint.size, note };
    onPublished(published);
  };
  const publishAll = async () => {
    for (; again && signed; ) {
      again = false;
      await publishOne(signed);
    }
  };
  /** Publishes the newest checkpoint, then one that was signed meanwhile. A failure is for ever: nothing is published after it. */
  const publishSoon = () => {
    again = true;
    if (publishing) return;
    const running = publishAll().then(() => {
      publishing = undefined;
    });
    publishing = running;
    running.catch((error: unknown) => onFailure(error, 'a checkpoint could not be published'));
  };

  // What was signed before the crash may not have been published.
  if (signed) publishSoon();
  return {
    push: ({ bytes, leafHash }) => {
      tree.push(leafHash);
      recent.push(bytes);
    },
    edge: () => tree.edge(),
    get size() {
      return tree.size;
    },
    published: () => published,
    checkpoint: async () => {
      for (const wanted = tree.size; (signed?.size ?? 0) < wanted; await checkpointing)
        // One that failed stays: nothing is signed after it.
        checkpointing ??= signNext().then(() => {
          checkpointing = undefined;
        });
      // Without witnesses publishing is a matter of milliseconds, and an acknowledgement says that it is done.
      if (!cosign) await publishing;
    },
    heartbeat: async () => {
      if (signed) publishSoon();
      await publishing;
    },
    close: async () => {
      await checkpointing;
      await publishing;
    },
  };
};

export const bundleStart = (size: number): number => size - (size % TILE_WIDTH);

const withCosignatures = (note: string, cosignatures: readonly NoteSignature[]): string => {
  const { text, signatures } = parseNote(note);
  return cosignatures.length === 0 ? note : formatNote({ text, signatures: [...signatures, ...cosignatures] });
};
