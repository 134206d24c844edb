import { dirname, join } from 'node:path';
import type { LogFile, LogFolder } from '../sequencer.ts';
import { type FileSystem, isErrno } from './file-system.ts';

/** What is published never changes: another program wrote here, or the disk lies. Going on would publish a fork. */
export class PublishedOtherwise extends Error {
  override readonly name = 'PublishedOtherwise';
}

const checkpointFile = 'checkpoint';
/** Folders that are known to be there, at most so many. */
const knownMax = 1_024;

/**
 * The published folder (C2SP tlog-tiles). Each file is written and synced in `staging`, a folder beside it on the same disk, and
 * linked to its place, which fails where something is there already; the checkpoint alone is replaced.
 */
export const createLogFolder = ({
  log,
  staging,
  files,
}: {
  log: string;
  staging: string;
  files: FileSystem;
}): LogFolder => {
  const known = new Set<string>();
  let staged = 0;

  const stage = async (bytes: Uint8Array): Promise<string> => {
    const path = join(staging, `${process.pid}.${++staged}`);
    const file = await files.create(path);
    try {
      await file.write(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    return path;
  };
  /** Makes it with all that is missing above it; `grown` are the folders that got an entry. */
  const makeFolder = async (path: string, grown: Set<string>): Promise<void> => {
    if (path === log || known.has(path)) return;
    await makeFolder(dirname(path), grown);
    await files.mkdir(path).catch((error: unknown) => {
      if (!isErrno(error, 'EEXIST')) throw error;
    });
    grown.add(dirname(path));
    if (known.size >= knownMax) known.clear();
    known.add(path);
  };
  const isThere = async (target: string, bytes: Uint8Array): Promise<boolean> =>
    Buffer.compare(await files.read(target), bytes) === 0;

  const put = async ({ path, bytes }: LogFile): Promise<void> => {
    const target = join(log, path);
    const from = await stage(bytes);
    try {
      await files.link(from, target);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (!(await isThere(target, bytes))) throw new PublishedOtherwise(`${path} is published with other bytes`);
    }
    await files.unlink(from);
  };

  return {
    open: async () => {
      await files.remove(staging);
      for (const folder of [log, staging])
        await files.mkdir(folder).catch((error: unknown) => {
          if (!isErrno(error, 'EEXIST')) throw error;
        });
      await files.syncFolder(dirname(log));
    },
    put: async (batch) => {
      const grown = new Set(batch.map(({ path }) => dirname(join(log, path))));
      for (const folder of [...grown]) await makeFolder(folder, grown);
      await all(batch.map(put));
      await all([...grown].map(files.syncFolder));
    },
    read: (path) => files.read(join(log, path)),
    stageCheckpoint: async (note) => {
      const from = await stage(Buffer.from(note));
      return {
        rename: () => files.rename(from, join(log, checkpointFile)),
        settle: () => files.syncFolder(log),
      };
    },
    hasCheckpoint: () =>
      files.read(join(log, checkpointFile)).then(
        () => true,
        (error: unknown) => {
          if (isErrno(error, 'ENOENT')) return false;
          throw error;
        },
      ),
    removePartials: async (path) => {
      const folder = join(log, `${path}.p`);
      known.delete(folder);
      await files.remove(folder);
    },
  };
};

/** Waits for all of them, whatever becomes of one: nothing may go on behind the back of who hears of a failure. */
const all = async (work: Promise<void>[]): Promise<void> => {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
};
