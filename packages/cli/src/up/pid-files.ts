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

const endAll = async (all: readonly PidFile[], graceMs: number): Promise<void> => {
  const until = async (ms: number) => {
    for (const end = performance.now() + ms; all.some(isAlive) && performance.now() < end; ) await wait(20);
  };
  for (const { pid } of all) signal(pid, 'SIGTERM');
  await until(graceMs);
  for (const p of all.filter(isAlive)) signal(p.pid, 'SIGKILL');
  await until(2_000);
};

/**
 * Ends processes that an `up` which was killed left behind, `last` after all others, so that services can still say their
 * farewell through NATS. Returns their names.
 */
export const endLeftovers = async (home: string, last: readonly string[], graceMs = 4_000): Promise<string[]> => {
  const left = livePids(home).filter((p) => p.name !== 'up');
  await endAll(
    left.filter((p) => !last.includes(p.name)),
    graceMs,
  );
  await endAll(
    left.filter((p) => last.includes(p.name)),
    graceMs,
  );
  for (const { name, pid } of left) removePid(home, name, pid);
  return left.map((p) => p.name);
};
