import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writePrivate } from '@agentgate/ground';
import { z } from 'zod';
import { isAlive, processStamp } from './process-stamp.ts';

const pidFile = z.strictObject({ name: z.string(), pid: z.int().min(2), stamp: z.string() });
export type PidFile = z.infer<typeof pidFile>;

const folder = (home: string) => join(home, 'run');
const fileOf = (home: string, name: string) => join(folder(home), `${name}.pid`);

export const writePid = (home: string, name: string, pid: number): void => {
  const stamp = processStamp(pid);
  if (stamp !== undefined) writePrivate(fileOf(home, name), `${JSON.stringify({ name, pid, stamp })}\n`);
};
/** Takes the file away, unless it is about a later process of that name. */
export const removePid = (home: string, name: string, pid: number): void => {
  if (readPid(fileOf(home, name))?.pid === pid) rmSync(fileOf(home, name), { force: true });
};

const readPid = (file: string): PidFile | undefined => {
  try {
    return pidFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
};

/** Every process of this home that still runs. */
export const livePids = (home: string): PidFile[] => {
  let files: string[];
  try {
    files = readdirSync(folder(home)).filter((f) => f.endsWith('.pid'));
  } catch {
    return [];
  }
  return files.flatMap((file) => {
    const found = readPid(join(folder(home), file));
    return found && isAlive(found) ? [found] : [];
  });
};

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const signal = (pid: number, name: NodeJS.Signals) => {
  // Each was started as the leader of its own group, so that what it started ends with it.
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, name);
      return;
    } catch {
      // Gone, or no group of that number: the next target says which.
    }
  }
};

/** Ends processes that an `up` which was killed left behind. Returns their names. */
export const endLeftovers = async (home: string, graceMs = 5_000): Promise<string[]> => {
  const left = livePids(home).filter((p) => p.name !== 'up');
  for (const { pid } of left) signal(pid, 'SIGTERM');
  for (const end = Date.now() + graceMs; left.some(isAlive) && Date.now() < end; ) await wait(50);
  for (const p of left.filter(isAlive)) signal(p.pid, 'SIGKILL');
  for (const end = Date.now() + 2_000; left.some(isAlive) && Date.now() < end; ) await wait(20);
  for (const { name, pid } of left) removePid(home, name, pid);
  return left.map((p) => p.name);
};
