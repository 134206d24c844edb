// One set-up at a time in a folder. The lock is a folder that holds its owner's name; renaming it into place is atomic.
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';

const HEARTBEAT_MS = 2_000;
/** An owner on another host or in another container cannot be asked whether it lives; its heartbeat must say. */
const STALE_MS = 30_000;
const POLL_MS = 100;

const readOwner = async (lock) => {
  try {
    return JSON.parse(await readFile(join(lock, 'owner.json'), 'utf8'));
  } catch {
    return undefined;
  }
};

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
};

const isStale = async (lock, owner) => {
  if (owner?.host === hostname() && !isAlive(owner.pid)) return true;
  const beat = await stat(lock).catch(() => undefined);
  return beat !== undefined && Date.now() - beat.mtimeMs > STALE_MS;
};

/** Moves a stale lock aside before deleting it, so that of several that found it stale only one gets it. */
const clearStale = async (lock, owner) => {
  const aside = `${lock}.stale-${process.pid}-${Math.random().toString(36).slice(2)}`;
  await rename(lock, aside).catch(() => undefined);
  const moved = await readOwner(aside);
  if (moved !== undefined && moved.token !== owner?.token) {
    // Between our look and our move somebody else had cleared it and locked anew: that lock is good, so it goes back.
    await rename(aside, lock).catch(() => undefined);
    return;
  }
  await rm(aside, { recursive: true, force: true });
};

const acquire = async (lock) => {
  const token = `${process.pid}-${Math.random().toString(36).slice(2)}`;
  const mine = `${lock}.mine-${token}`;
  await mkdir(mine, { recursive: true });
  await writeFile(join(mine, 'owner.json'), JSON.stringify({ pid: process.pid, host: hostname(), token }));
  try {
    await rename(mine, lock);
    return token;
  } catch {
    // A folder that is not empty stands there: somebody else holds the lock.
    await rm(mine, { recursive: true, force: true });
    return undefined;
  }
};

/** Runs `work` while holding `lock`. Waits for a living owner, at most `waitMs`; takes over from a dead one. */
export const withLock = async (lock, { waitMs, say }, work) => {
  await mkdir(dirname(lock), { recursive: true });
  const until = Date.now() + waitMs;
  let told = false;
  let token = await acquire(lock);
  while (token === undefined) {
    const owner = await readOwner(lock);
    if (await isStale(lock, owner)) await clearStale(lock, owner);
    else if (Date.now() > until) throw new Error(`another set-up (pid ${owner?.pid}) has held ${lock} for too long`);
    else {
      if (!told && owner !== undefined) say(`waiting for another set-up (pid ${owner.pid})`);
      told ||= owner !== undefined;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    token = await acquire(lock);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(lock, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    if ((await readOwner(lock))?.token === token) await rm(lock, { recursive: true, force: true });
  }
};
