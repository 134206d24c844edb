import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { GroundError } from './error.ts';

/** Makes a folder that only its owner can enter, and those above it where they are missing. Throws GroundError. */
export const privateFolder = (path: string): void => naming(path, 'made', () => makeFolder(path));

/** Lets nobody but its owner into a folder that is there already. Throws GroundError where it is somebody else's. */
export const closeToOthers = (path: string): void => naming(path, 'closed to others', () => chmodSync(path, 0o700));

/** What the disk refuses is nothing that a program could mend: whoever started it reads which file it was, and why. */
export const naming = <T>(path: string, done: string, work: () => T): T => {
  try {
    return work();
  } catch (cause) {
    throw new GroundError(`${path}: cannot be ${done}: ${(cause as Error).message}`, { cause });
  }
};

/** Not by Node's `recursive`, which tries for ever where a folder that is there can have none in it, as /proc. */
const makeFolder = (path: string): void => {
  const isThere = () => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isThere()) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may make it at the same time.
    if (!isThere()) throw error;
  }
};

/** As replacePrivate; makes the folder where it is missing. Throws GroundError. */
export const writePrivate = (path: string, text: string): void => {
  privateFolder(dirname(path));
  naming(path, 'written', () => replacePrivate(path, text));
};

/**
 * Writes a file that only its owner can read, whole or not at all: readers see the old one or the new one, also after a crash, and once it
 * returns the new one.
 */
export const replacePrivate = (path: string, text: string): void => {
  const fresh = `${path}.${randomUUID()}.new`;
  try {
    synced(openSync(fresh, 'wx', 0o600), (fd) => writeFileSync(fd, text));
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  // The folder too, or a crash brings the old name back.
  synced(openSync(dirname(path), 'r'), () => undefined);
};

const synced = (fd: number, write: (fd: number) => void): void => {
  try {
    write(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** Throws GroundError where it is there and cannot be read. */
export const readIfThere = (path: string): string | undefined =>
  existsSync(path) ? naming(path, 'read', () => readFileSync(path, 'utf8')) : undefined;

/** The file's text without the last line break; made once by `make`. */
export const readOrMake = (path: string, make: () => string): string => {
  const there = readIfThere(path)?.trim();
  if (there) return there;
  const made = make();
  writePrivate(path, `${made}\n`);
  return made;
};
