import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Makes a folder that only its owner can enter, and those above it where they are missing. */
export const privateFolder = (path: string): void => {
  mkdirSync(path, { recursive: true, mode: 0o700 });
};

/** Writes a file that only its owner can read, whole or not at all: readers see the old one or the new one, also after a crash. */
export const writePrivate = (path: string, text: string): void => {
  privateFolder(dirname(path));
  const fresh = `${path}.${process.pid}.new`;
  rmSync(fresh, { force: true });
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(fresh, path);
};

export const readIfThere = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8') : undefined;

/** The file's text without the last line break; made once by `make`. */
export const readOrMake = (path: string, make: () => string): string => {
  const there = readIfThere(path)?.trim();
  if (there) return there;
  const made = make();
  writePrivate(path, `${made}\n`);
  return made;
};
