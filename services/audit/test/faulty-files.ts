import type { FileSystem } from '../src/adapters/file-system.ts';

/** `fail`: the call does nothing and fails. `fail after`: it is done, and fails all the same. `crash`: it is the last that is done at all. */
export type Fault = { at: number; how: 'fail' | 'fail after' | 'crash' };

const errno = (code: string, path: string) => Object.assign(new Error(`${code}: ${path}`), { code });
const parentOf = (path: string) => path.slice(0, path.lastIndexOf('/'));

interface File {
  bytes: Buffer;
  synced: boolean;
}

/**
 * A disk that keeps, when the power fails, only what was synced: a file's bytes by its own sync, a name by its folder's. Its calls are
 * counted, and one of them goes wrong.
 */
export const createFaultyFiles = () => {
  let names = new Map<string, File | 'folder'>([['/home', 'folder']]);
  let durable = new Map(names);
  let fault: Fault | undefined;
  let isDead = false;
  const calls: string[] = [];

  const step = <T>(call: string, work: () => T): T => {
    if (isDead) throw errno('EDEAD', call);
    calls.push(call);
    if (fault?.at !== calls.length) return work();
    if (fault.how === 'fail') throw errno('EIO', call);
    const result = work();
    isDead = fault.how === 'crash';
    throw errno(fault.how === 'crash' ? 'EDEAD' : 'EIO', `${call}${result === undefined ? '' : '!'}`);
  };
  const fileAt = (path: string): File => {
    const file = names.get(path);
    if (file === undefined || file === 'folder') throw errno('ENOENT', path);
    return file;
  };
  const add = (path: string, what: File | 'folder') => {
    if (names.get(parentOf(path)) !== 'folder') throw errno('ENOENT', path);
    if (names.has(path)) throw errno('EEXIST', path);
    names.set(path, what);
  };

  const files: FileSystem = {
    create: async (path) => {
      const file: File = { bytes: Buffer.alloc(0), synced: false };
      step('create', () => add(path, file));
      return {
        write: async (bytes) =>
          step('write', () => {
            file.bytes = Buffer.from(bytes);
          }),
        sync: async () =>
          step('fsync', () => {
            file.synced = true;
          }),
        close: async () => step('close', () => {}),
      };
    },
    link: async (from, to) => step('link', () => add(to, fileAt(from))),
    rename: (from, to) =>
      step('rename', () => {
        names.set(to, fileAt(from));
        names.delete(from);
      }),
    unlink: async (path) =>
      step('unlink', () => {
        fileAt(path);
        names.delete(path);
      }),
    mkdir: async (path) => step('mkdir', () => add(path, 'folder')),
    syncFolder: async (folder) =>
      step('fsync of a folder', () => {
        for (const path of [...durable.keys()]) if (parentOf(path) === folder && !names.has(path)) durable.delete(path);
        for (const [path, what] of names) if (parentOf(path) === folder) durable.set(path, what);
      }),
    read: async (path) => {
      if (isDead) throw errno('EDEAD', path);
      return fileAt(path).bytes;
    },
    remove: async (path) =>
      step('remove', () => {
        for (const each of [...names.keys()]) if (each === path || each.startsWith(`${path}/`)) names.delete(each);
      }),
  };
  return {
    files,
    calls: () => calls,
    read: (path: string) => fileAt(path).bytes,
    inject: (next: Fault | undefined) => {
      fault = next;
      calls.length = 0;
    },
    /** The process is gone; with `power` also what no sync made last. */
    restart: (power: boolean) => {
      isDead = false;
      fault = undefined;
      calls.length = 0;
      if (!power) return;
      for (const [path, what] of durable)
        if (what !== 'folder' && !what.synced) durable.set(path, { bytes: Buffer.from('lost'), synced: true });
      names = new Map(durable);
      durable = new Map(names);
    },
    /** Somebody else wrote there. */
    forge: (path: string, bytes: string) => void names.set(path, { bytes: Buffer.from(bytes), synced: true }),
  };
};
