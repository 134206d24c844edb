import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { ReadFile } from '@agentgate/evidence';
import { CliError } from '../context.ts';

/**
 * Reads a log's files from a folder that somebody else may have filled: a link is not followed, so that nothing outside
 * is read, and a pipe or device is not waited for. Throws CliError where something cannot be read.
 */
export const openLogFolder = async (dir: string): Promise<ReadFile> => {
  const root = await realpath(dir).catch(() => {
    throw new CliError(`there is no folder ${dir}`);
  });
  const within = createFolderCheck(root);
  return async (path, maxBytes) => {
    const file = join(root, path);
    try {
      if (!(await within(dirname(file)))) throw new CliError(`${path} lies outside of ${dir}, behind a link`);
      // Without NONBLOCK, opening a pipe waits for a writer.
      const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        return await readRegular(handle, { path, maxBytes });
      } finally {
        await handle.close();
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      if (code === 'ELOOP') throw new CliError(`${path} is a link, which a log has none of`);
      if (error instanceof CliError) throw error;
      throw new CliError(`${path} cannot be read: ${code ?? String(error)}`);
    }
  };
};

const readRegular = async (
  handle: FileHandle,
  { path, maxBytes }: { path: string; maxBytes: number },
): Promise<Uint8Array> => {
  const about = await handle.stat();
  if (!about.isFile()) throw new CliError(`${path} is no ordinary file`);
  const bytes = Buffer.allocUnsafe(Math.min(about.size, maxBytes + 1));
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
};

/** Whether a folder, links resolved, lies in the log's. Folders hold 1,000 files: the last few answers are kept. */
const createFolderCheck = (root: string) => {
  const known = new Map<string, boolean>();
  return async (folder: string): Promise<boolean> => {
    const before = known.get(folder);
    if (before !== undefined) return before;
    const real = await realpath(folder);
    const isWithin = real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
    if (known.size >= 64) known.clear();
    known.set(folder, isWithin);
    return isWithin;
  };
};
