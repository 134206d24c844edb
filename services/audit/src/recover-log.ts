import {
  type Appender,
  type Checkpoint,
  createAppender,
  type Edge,
  edgeRoot,
  leafHash,
  NOTE_ED25519,
  noteKey,
  partialTiles,
  type SigningKey,
  tilePath,
  verifyCheckpoint,
} from '@agentgate/evidence';
import type { SignedCheckpoint } from './cosigning.ts';
import { bundleStart, type LogFolder, type LogLock, type LogState } from './sequencer.ts';

/** The entries on disk, the newest of them with their texts. */
export interface CommittedEntries {
  size(): number;
  /** The right edge as the last transaction left it. */
  edge(): Edge;
  /** The texts from `index` on to the last; throws where they are not all there. */
  texts(index: number): string[];
}

/** The log's parts contradict each other: one of them was lost, restored or changed. Signing would fork the log. */
export class LogRefused extends Error {
  override readonly name = 'LogRefused';
}

const refuse = (why: string): never => {
  throw new LogRefused(`${why}: refusing to sign, since others may have seen a different log`);
};

/**
 * Goes on where a log was left, however its last process ended: the lock database says what was signed, the folder holds the tree
 * of it, the entries what came after. All three must agree.
 */
export const recoverLog = async ({
  origin,
  key,
  folder,
  lock,
  entries,
}: {
  origin: string;
  key: SigningKey;
  folder: LogFolder;
  lock: Pick<LogLock, 'checkpoint'>;
  entries: CommittedEntries;
}): Promise<LogState> => {
  const note = lock.checkpoint();
  if (note === undefined && (await folder.hasCheckpoint()))
    refuse('the log has a checkpoint, and the lock database has none');
  const signed = note === undefined ? undefined : readSigned(note, { origin, key });
  const size = signed?.size ?? 0;
  if (size > entries.size())
    refuse(
      `a checkpoint of ${size} entries was signed, and evidence.db has only ${entries.size()}, as after a restored backup`,
    );
  const tree = signed ? await readTree(signed, folder) : createAppender();
  const recent = entries.texts(bundleStart(size));
  for (const text of recent.slice(size - bundleStart(size))) tree.push(leafHash(text));
  if (tree.size !== entries.size() || Buffer.compare(tree.root(), edgeRoot(entries.edge())) !== 0)
    refuse('evidence.db and the published tiles do not belong to one log');
  return { tree, signed, recent };
};

const readSigned = (
  note: string,
  { origin, key }: { origin: string; key: SigningKey },
): SignedCheckpoint & Pick<Checkpoint, 'root'> => {
  const keys = [noteKey({ name: origin, type: NOTE_ED25519, publicKey: key.publicKey })];
  const verdict = verifyCheckpoint(note, { origin, keys });
  if (!verdict.ok) return refuse(`the last checkpoint is not one of this log and its key (${verdict.reason})`);
  return { size: verdict.checkpoint.size, root: verdict.checkpoint.root, note };
};

/** The tree of a checkpoint, from its partial tiles. */
const readTree = async ({ size, root }: Pick<Checkpoint, 'size' | 'root'>, folder: LogFolder): Promise<Appender> => {
  const tiles = new Map<string, Uint8Array>();
  for (const path of partialTiles(size).map(tilePath)) {
    const bytes = await folder.read(path).catch(() => refuse(`the published folder has no ${path}`));
    tiles.set(path, bytes);
  }
  const tree = createAppender({ size, readTile: (path) => tiles.get(path) as Uint8Array });
  if (Buffer.compare(tree.root(), root) !== 0) refuse('the published tiles are not those of the last checkpoint');
  return tree;
};
