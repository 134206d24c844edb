import { closeSync, fsync, linkSync, mkdirSync, openSync, renameSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

export interface NewFile {
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The system calls that the published folder is made of, one a function, so that a test can make each of them fail or be the last. */
export interface FileSystem {
  /** Fails where there is a file already. */
  create(path: string): Promise<NewFile>;
  /** Fails with EEXIST where `to` is there already, whatever it holds. */
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): void;
  unlink(path: string): Promise<void>;
  /** Fails with EEXIST where it is there already. */
  mkdir(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  /** A file, or a folder with what is in it; nothing where there is none. */
  remove(path: string): Promise<void>;
}

/** The log is for everybody to read; who may enter the folder above it is the deployment's to say. */
const fileMode = 0o644;
const folderMode = 0o755;
const sync = promisify(fsync);

/** What only touches the page cache is over sooner than a thread could be asked for it; a sync waits for the disk, so they run side by side. */
export const realFileSystem: FileSystem = {
  create: async (path) => {
    const fd = openSync(path, 'wx', fileMode);
    return {
      write: async (bytes) => {
        for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
      },
      sync: () => sync(fd),
      close: async () => closeSync(fd),
    };
  },
  link: async (from, to) => linkSync(from, to),
  rename: renameSync,
  unlink: async (path) => unlinkSync(path),
  mkdir: async (path) => mkdirSync(path, folderMode),
  syncFolder: async (path) => {
    const fd = openSync(path, 'r');
    try {
      await sync(fd);
    } finally {
      closeSync(fd);
    }
  },
  read: (path) => readFile(path),
  remove: async (path) => rmSync(path, { recursive: true, force: true }),
};

export const isErrno = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException)?.code === code;
