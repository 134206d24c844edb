import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GroundError, naming, privateFolder } from '@agentgate/ground';
import { isAlive, processStamp } from './process-stamp.ts';

const fileOf = (home: string) => join(home, 'run', 'up.pid');

/** The living `up` of a home, if there is one. */
export const homeHolder = (home: string): { pid: number; stamp: string } | undefined => {
  try {
    const { pid, stamp } = JSON.parse(readFileSync(fileOf(home), 'utf8')) as { pid: number; stamp: string };
    return isAlive({ pid, stamp }) ? { pid, stamp } : undefined;
  } catch {
    return undefined;
  }
};

/** False where somebody else made the file meanwhile. */
const writeNew = (file: string, text: string): boolean =>
  naming(file, 'written', () => {
    try {
      writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  });

/** Makes this process the only `up` of a home. Throws GroundError naming the one that is. Returns how to give it back. */
export const lockHome = async (home: string): Promise<() => void> => {
  privateFolder(join(home, 'run'));
  const refuse = (pid: number) => new GroundError(`${home} is in use by the agentgate up with pid ${pid}`);
  const mine = JSON.stringify({ name: 'up', pid: process.pid, stamp: processStamp(process.pid) });
  for (let attempt = 0; attempt < 3; attempt++) {
    const holder = homeHolder(home);
    if (holder) throw refuse(holder.pid);
    naming(fileOf(home), 'removed', () => rmSync(fileOf(home), { force: true }));
    if (!writeNew(fileOf(home), `${mine}\n`)) continue;
    // Two that found the same stale lock may both come here; the later file is the one that counts.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = homeHolder(home);
    if (now?.pid === process.pid) return () => rmSync(fileOf(home), { force: true });
    if (now) throw refuse(now.pid);
  }
  throw new GroundError(`${home} cannot be locked`);
};
