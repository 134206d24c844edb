import { DatabaseSync } from 'node:sqlite';
import { WitnessError } from './error.ts';
import type { WitnessState } from './witness.ts';

export interface SqliteState extends WitnessState {
  sizes(): { origin: string; size: number }[];
  /** Forks that were seen: a signed checkpoint each, beside the one of its size that was cosigned. */
  forks(): { origin: string; size: number; note: string }[];
  close(): void;
}

/** Of one log: the first ones prove it, later ones only fill the disk. */
const forksKept = 16;

/** What was signed can only grow, whoever writes. */
const schema = `
CREATE TABLE logs (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TRIGGER logs_grow BEFORE UPDATE ON logs WHEN new.size <= old.size
  BEGIN SELECT RAISE(ABORT, 'a log that was cosigned can only grow'); END;
CREATE TRIGGER logs_remain BEFORE DELETE ON logs BEGIN SELECT RAISE(ABORT, 'a log that was cosigned stays'); END;
CREATE TABLE forks (
  origin TEXT NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (origin, size, root)
) STRICT;
PRAGMA user_version = 1;
`;

/** 256 MiB: room for the largest checkpoint of each of 1,024 logs. */
const pages = 65_536;

/** One process at a time, and no write that is not synced before it returns. Throws WitnessError where another runs. */
export const openState = (file: string, { make = false, maxPages = pages } = {}): SqliteState => {
  const db = new DatabaseSync(file, { timeout: 1_000 });
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = wal; PRAGMA synchronous = FULL');
    db.exec(`PRAGMA max_page_count = ${maxPages}`);
    db.exec(make ? `BEGIN EXCLUSIVE; ${schema} COMMIT` : 'BEGIN EXCLUSIVE; COMMIT');
    requireDurable(db, file);
  } catch (error) {
    db.close();
    if (codeOf(error) === busy) throw new WitnessError(`${file} is in use: this witness runs already`);
    throw error;
  }
  const latest = db.prepare('SELECT size, root FROM logs WHERE origin = ?');
  const advance = db.prepare(
    `INSERT INTO logs (origin, size, root, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (origin)
     DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note WHERE size = ?5 AND root = ?6`,
  );
  const keep = db.prepare(
    `INSERT INTO forks SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM forks WHERE origin = ?1) < ${forksKept}
     ON CONFLICT DO NOTHING`,
  );
  return {
    latest: (origin) => latest.get(origin) as { size: number; root: Uint8Array } | undefined,
    advance: (origin, from, to) => advance.run(origin, to.size, to.root, to.note, from.size, from.root).changes === 1,
    keepFork: (origin, { size, root, note }) => void keep.run(origin, size, root, note),
    sizes: () => db.prepare('SELECT origin, size FROM logs ORDER BY origin').all() as never,
    forks: () => db.prepare('SELECT origin, size, note FROM forks ORDER BY origin, size').all() as never,
    close: () => db.close(),
  };
};

const requireDurable = (db: DatabaseSync, file: string): void => {
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  const found = [pragma('journal_mode'), pragma('synchronous'), pragma('user_version')].join(' ');
  if (found !== 'wal 2 1') throw new WitnessError(`${file} is not the memory of a witness of this version (${found})`);
};

const busy = 5;
const full = 13;
const codeOf = (error: unknown): unknown => (error as { errcode?: number }).errcode;
/** The disk is full: nothing was written, and going on is safe. After any other failure of the disk it is not. */
export const isDiskFull = (error: unknown): boolean => codeOf(error) === full;
