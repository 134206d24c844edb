import { renameSync } from 'node:fs';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';

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
  /** Fails with EEXIST where it is there already. */
  mkdir(path: string): Promise<void>;
  syncFolder(path: string): Promise<void>;
  read(path: string): Promise<Uint8Array>;
  /** A file, or a folder with what is in it; nothing where there is none. */
  remove(path: string): Promise<void>;
}

/** The log is for everybody to read; who may enter the folder above it is the deployment's to say. */
const fileMode = 0o644;

export const realFileSystem: FileSystem = {
  create: async (path) => {
    const file = await open(path, 'wx', fileMode);
    return {
      write: (bytes) => file.writeFile(bytes),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  link,
  rename: renameSync,
  mkdir: async (path) => void (await mkdir(path, 0o755)),
  syncFolder: async (path) => {
    const folder = await open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  read: (path) => readFile(path),
  remove: (path) => rm(path, { recursive: true, force: true }),
};

export const isErrno = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException)?.code === code;
