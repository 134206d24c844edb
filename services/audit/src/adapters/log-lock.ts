import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { LogLock } from '../sequencer.ts';

/** Another process sequences this log now. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}
/** What was signed last is not what this process thinks: it would fork the log. */
export class LockMismatch extends Error {
  override readonly name = 'LockMismatch';
}

/** The lock database of a log: who may sequence it, and the last checkpoint that was signed. Apart from the log, so that no backup of the log takes it back. */
export interface LockDatabase {
  /** The lease, unless it is another's and has not run out. */
  take(): Lease | undefined;
  close(): void;
}

export interface Lease extends LogLock {
  /** Fences off whoever held it before: different at each take. */
  readonly token: string;
  /** Throws LeaseLost once another has it. */
  renew(): void;
  /** The next one need not wait. */
  release(): void;
}

/** So long after the last sign of its holder another may take it. */
export const leaseMs = 3_000;

const schema = `CREATE TABLE IF NOT EXISTS logs (
  origin TEXT PRIMARY KEY,
  token TEXT,                      -- of the lease's holder
  good_until INTEGER NOT NULL,     -- milliseconds since the epoch
  checkpoint TEXT                  -- the last signed note
) STRICT`;

export const openLockDatabase = (
  folder: string,
  { origin, now, lockWaitMs = 5_000 }: { origin: string; now: () => number; lockWaitMs?: number },
): LockDatabase => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'lock.db');
  closeSync(openSync(file, 'a', 0o600));
  const db = new DatabaseSync(file, { timeout: lockWaitMs });
  db.exec(`PRAGMA journal_mode = wal; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; ${schema}`);
  db.prepare('INSERT INTO logs (origin, good_until) VALUES (?, 0) ON CONFLICT DO NOTHING').run(origin);
  const take = db.prepare('UPDATE logs SET token = ?, good_until = ? WHERE origin = ? AND good_until <= ?');
  return {
    take: () => {
      const token = randomBytes(16).toString('hex');
      const taken = take.run(token, now() + leaseMs, origin, now()).changes === 1;
      return taken ? createLease(db, { origin, token, now }) : undefined;
    },
    close: () => db.close(),
  };
};

const createLease = (
  db: DatabaseSync,
  { origin, token, now }: { origin: string; token: string; now: () => number },
): Lease => {
  const row = db.prepare('SELECT token, checkpoint FROM logs WHERE origin = ?');
  const renew = db.prepare('UPDATE logs SET good_until = ? WHERE origin = ? AND token = ?');
  const replace = db.prepare(
    'UPDATE logs SET checkpoint = ?, good_until = ? WHERE origin = ? AND token = ? AND checkpoint IS ?',
  );
  const read = () => {
    const { token: holder, checkpoint } = row.get(origin) as { token: string | null; checkpoint: string | null };
    if (holder !== token) throw new LeaseLost('another process sequences this log now');
    return checkpoint ?? undefined;
  };
  return {
    token,
    checkpoint: read,
    replace: (from, to) => {
      if (replace.run(to, now() + leaseMs, origin, token, from ?? null).changes === 1) return;
      read();
      throw new LockMismatch('the lock database has another checkpoint than the one that this log goes on from');
    },
    whileHeld: (work) => {
      db.exec('BEGIN IMMEDIATE');
      try {
        read();
        return work();
      } finally {
        // Nothing was written: this only lets go.
        db.exec('ROLLBACK');
      }
    },
    renew: () => {
      if (renew.run(now() + leaseMs, origin, token).changes !== 1) read();
    },
    release: () => void renew.run(0, origin, token),
  };
};
