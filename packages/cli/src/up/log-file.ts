import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const maxBytes = 8 * 1024 * 1024;

/** Appends lines to a file; a full one becomes `<file>.1`, in the place of the one before. */
export interface LogFile {
  write(line: string): void;
  close(): void;
}

export const openLogFile = (path: string, limit = maxBytes): LogFile => {
  const open = () => {
    const fd = openSync(path, 'a', 0o600);
    return { fd, size: fstatSync(fd).size };
  };
  let { fd, size } = open();
  // A late line must not go to whatever file has this descriptor next.
  let closed = false;
  return {
    write: (line) => {
      if (closed) return;
      try {
        if (size > limit) {
          closeSync(fd);
          renameSync(path, `${path}.1`);
          ({ fd, size } = open());
        }
        size += writeSync(fd, `${line}\n`);
      } catch {
        // A full disk must not end what is logged; evidence has its own way of failing closed.
      }
    },
    close: () => {
      if (!closed) closeSync(fd);
      closed = true;
    },
  };
};
