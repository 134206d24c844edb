import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { GroundError } from './error.ts';

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** Where programs are looked for, the first first: AGENTGATE_BIN, the checkout's own `.agentgate/bin`, PATH. */
export const binaryFolders = (opts: {
  root: string;
  bin?: string | undefined;
  path?: string | undefined;
}): string[] => [
  ...(opts.bin ? [opts.bin] : []),
  join(opts.root, '.agentgate', 'bin'),
  ...(opts.path ?? '').split(delimiter).filter((folder) => folder !== ''),
];

/** The first of `names` that is in a folder. Throws GroundError naming what is missing. */
export const findBinary = (names: readonly string[], folders: readonly string[]): string => {
  for (const folder of folders) for (const name of names) if (isProgram(join(folder, name))) return join(folder, name);
  throw new GroundError(`${names.join(' or ')} is not here: run npm start once, or install it`);
};
export const natsServer = ['nats-server'];
export const redisServer = ['redis-server', 'valkey-server'];
