import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { DisclosureScope } from '@agentgate/contracts';
import type { DisclosedEvent } from '@agentgate/evidence';
import type { Act, DisclosureStore, Hold, Whose } from '../erasure.ts';
import { createRowWriter } from './row-writer.ts';

const schemaVersion = 1;

/**
 * What opens the log's salted digests, apart from the log. Rows are appended, and erased by writing zeros of the same length over their
 * content: nothing ever moves between pages, so that no page keeps a copy of what was erased.
 */
const schema = `
CREATE TABLE disclosures (
  id INTEGER PRIMARY KEY,
  event TEXT NOT NULL,
  field TEXT NOT NULL,
  call TEXT,
  tenant TEXT,
  agent TEXT,
  session TEXT,
  erased INTEGER NOT NULL,         -- 0 or 1: a row that is erased stays, so that nothing comes in its place
  salt BLOB NOT NULL,
  value BLOB                       -- canonical JSON; NULL where only the salt is kept
) STRICT;
CREATE UNIQUE INDEX disclosures_event ON disclosures (event, field);
CREATE INDEX disclosures_call ON disclosures (call);
CREATE INDEX disclosures_session ON disclosures (session);
CREATE INDEX disclosures_agent ON disclosures (tenant, agent);
CREATE TABLE holds (
  hold TEXT PRIMARY KEY,
  scope TEXT NOT NULL,             -- JSON
  reason TEXT NOT NULL,
  by TEXT NOT NULL,
  at INTEGER NOT NULL,
  released INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE acts (
  id INTEGER PRIMARY KEY,
  act TEXT NOT NULL,               -- JSON: what is to be told in evidence
  event TEXT                       -- the event that tells it
) STRICT;
CREATE INDEX acts_untold ON acts (id) WHERE event IS NULL;
PRAGMA user_version = ${schemaVersion};
`;

/** Opens or makes `disclosures.db` in this folder. */
export const openSqliteDisclosures = (folder: string, lockWaitMs = 5_000): DisclosureStore => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'disclosures.db');
  closeSync(openSync(file, 'a', 0o600));
  const db = new DatabaseSync(file, { timeout: lockWaitMs });
  prepareDatabase(db);
  const kept = createRowWriter(
    db,
    8,
    (rows) =>
      `INSERT INTO disclosures (event, field, call, tenant, agent, session, salt, value, erased) SELECT *, 0 FROM (VALUES ${rows}) WHERE true ON CONFLICT (event, field) DO NOTHING`,
  );
  const of = db.prepare('SELECT field, salt, value, erased FROM disclosures WHERE event = ? ORDER BY field');
  const addHold = db.prepare('INSERT INTO holds (hold, scope, reason, by, at) VALUES (?,?,?,?,?)');
  const releaseHold = db.prepare('UPDATE holds SET released = 1 WHERE hold = ? AND released = 0 RETURNING scope');
  const holds = db.prepare('SELECT hold, scope, reason, by, at FROM holds WHERE released = 0 ORDER BY at, hold');
  const addAct = db.prepare('INSERT INTO acts (act) VALUES (?)');
  const untold = db.prepare('SELECT id AS row, act FROM acts WHERE event IS NULL ORDER BY id LIMIT ?');
  const setTold = db.prepare('UPDATE acts SET event = ? WHERE id = ?');

  return {
    transaction: (work) => {
      db.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        db.exec('COMMIT');
        return result;
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
    },
    keep: (disclosed) => {
      for (const each of disclosed) kept.add(...rowOf(each));
      kept.write();
    },
    of: (event) =>
      (of.all(event) as { field: string; salt: Uint8Array; value: Uint8Array | null; erased: number }[]).map(
        ({ field, salt, value, erased }) =>
          erased === 1
            ? { field, isErased: true as const }
            : {
                field,
                isErased: false as const,
                salt: Buffer.from(salt).toString('base64url'),
                ...(value && { value: JSON.parse(Buffer.from(value).toString()) as unknown }),
              },
      ),
    whose: (scope) => {
      const { sql, values } = where(scope);
      const found = db
        .prepare(`SELECT DISTINCT tenant, agent, session FROM disclosures WHERE ${sql}`)
        .all(...values) as Record<keyof Whose, string | null>[];
      const only = (name: keyof Whose) => {
        const [first, ...more] = new Set(found.map((row) => row[name]));
        return first && more.length === 0 ? { [name]: first } : {};
      };
      return { ...only('tenant'), ...only('agent'), ...only('session') };
    },
    holdsOn: (scope) => {
      const { sql, values } = where(scope);
      return (holds.all() as unknown as HoldRow[])
        .filter((row) => {
          const other = where(JSON.parse(row.scope) as DisclosureScope);
          return db
            .prepare(`SELECT 1 FROM disclosures WHERE erased = 0 AND ${sql} AND ${other.sql} LIMIT 1`)
            .get(...values, ...other.values);
        })
        .map(({ hold }) => hold);
    },
    erase: (scope) => {
      const { sql, values } = where(scope);
      const { events } = db
        .prepare(`SELECT count(DISTINCT event) AS events FROM disclosures WHERE erased = 0 AND ${sql}`)
        .get(...values) as { events: number };
      db.prepare(
        `UPDATE disclosures SET erased = 1, salt = zeroblob(length(salt)), value = iif(value IS NULL, NULL, zeroblob(length(value))) WHERE erased = 0 AND ${sql}`,
      ).run(...values);
      return events;
    },
    forget: () => {
      // It must not hold up the log until some reader ends.
      db.exec('PRAGMA busy_timeout = 0');
      const { busy } = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
      db.exec(`PRAGMA busy_timeout = ${lockWaitMs}`);
      if (busy !== 0)
        throw new Error('disclosures.db is in use by another process: its journal still holds what was erased');
    },
    addHold: ({ hold, scope, reason, by, at }) => void addHold.run(hold, JSON.stringify(scope), reason, by, at),
    releaseHold: (hold) => {
      const row = releaseHold.get(hold) as { scope: string } | undefined;
      return row && (JSON.parse(row.scope) as DisclosureScope);
    },
    holds: () => (holds.all() as unknown as HoldRow[]).map((row) => ({ ...row, scope: JSON.parse(row.scope) }) as Hold),
    addAct: (act) => Number(addAct.run(JSON.stringify(act)).lastInsertRowid),
    untold: (limit) =>
      (untold.all(limit) as { row: number; act: string }[]).map(({ row, act }) => ({
        row,
        act: JSON.parse(act) as Act,
      })),
    setTold: (row, event) => void setTold.run(event, row),
    close: () => db.close(),
  };
};

type HoldRow = Omit<Hold, 'scope'> & { scope: string };

const rowOf = ({ event, disclosure: { field, salt, value } }: DisclosedEvent) =>
  [
    event.id,
    field,
    typeof event.data.call === 'string' ? event.data.call : null,
    event.tenant ?? null,
    event.agent ?? null,
    event.session ?? null,
    Buffer.from(salt, 'base64url'),
    value === undefined ? null : Buffer.from(JSON.stringify(value)),
  ] as const;

const where = (scope: DisclosureScope): { sql: string; values: string[] } => {
  switch (scope.kind) {
    case 'event':
      return { sql: 'event = ?', values: [scope.id] };
    case 'call':
      return { sql: 'call = ?', values: [scope.id] };
    case 'session':
      return { sql: 'session = ?', values: [scope.id] };
    case 'agent':
      return { sql: '(tenant = ? AND agent = ?)', values: [scope.tenant ?? 'default', scope.id] };
    default:
      return scope satisfies never;
  }
};

const pragma = (db: DatabaseSync, name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];

/** Refuses a database that would not keep what it was given, or would keep what it was told to erase. */
const prepareDatabase = (db: DatabaseSync) => {
  db.exec(
    'PRAGMA journal_mode = wal; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON',
  );
  // What a statement may have to take back goes to memory: a file of it would keep what is erased.
  db.exec('PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY');
  const found = [pragma(db, 'journal_mode'), pragma(db, 'synchronous'), pragma(db, 'secure_delete')];
  if (found.join() !== 'wal,2,1')
    throw new Error(`SQLite has journal, synchronous and secure_delete ${found.join()}, not wal,2,1`);
  const version = pragma(db, 'user_version');
  if (version === 0) db.exec(`BEGIN EXCLUSIVE; ${schema} COMMIT`);
  else if (version !== schemaVersion)
    throw new Error(`disclosures.db has schema ${version}; this program knows ${schemaVersion}`);
};
