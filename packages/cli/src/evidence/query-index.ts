import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { createTree, edgeRoot, HASH_BYTES, leafHash, readEntry } from '@agentgate/evidence';
import { CliError } from '../context.ts';
import { type IndexRow, rowOf } from './index-row.ts';
import type { PublishedLog } from './published-log.ts';

/** Which events. All that is given must hold. */
export interface Selection {
  session?: string | undefined;
  agent?: string | undefined;
  tenant?: string | undefined;
  tool?: string | undefined;
  call?: string | undefined;
  type?: string | undefined;
  /** An outcome or action (`ok`, `deny`), or a code (`NO_GRANT`). */
  outcome?: string | undefined;
  incident?: string | undefined;
  /** Milliseconds since 1970, `to` excluded. */
  from?: number | undefined;
  to?: number | undefined;
}

export type FoundRow = IndexRow & { index: number };

/** Derived from the log's files, and of no worth as evidence itself: whoever finds something by it verifies it by its proof. */
export interface QueryIndex {
  /** How much of the log it knows. */
  size(): number;
  /** Takes what the log has more. Throws CliError where the log is not the one that it knows the beginning of. */
  sync(log: PublishedLog, onProgress?: (entries: number) => void): Promise<void>;
  find(selection: Selection, page: { limit: number; newestFirst: boolean }): FoundRow[];
  count(selection: Selection): number;
  byId(id: string): FoundRow | undefined;
  close(): void;
}

const schemaVersion = 1;
const columns = [
  'id',
  'time',
  'type',
  'tenant',
  'agent',
  'session',
  'call',
  'tool',
  'outcome',
  'code',
  'incident',
] as const;
/** The index of each ends in the log's order, so that the newest are found without sorting. */
const schema = `
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  origin TEXT NOT NULL,
  size INTEGER NOT NULL,
  edge BLOB NOT NULL               -- the right edge of the tree over what is indexed
) STRICT;
INSERT INTO meta VALUES (1, '', 0, x'');
CREATE TABLE events (
  idx INTEGER PRIMARY KEY, id TEXT NOT NULL, time INTEGER NOT NULL, type TEXT NOT NULL, tenant TEXT, agent TEXT,
  session TEXT, call TEXT, tool TEXT, outcome TEXT, code TEXT, incident TEXT
) STRICT;
CREATE INDEX events_id ON events (id);
CREATE INDEX events_time ON events (time);
CREATE INDEX events_type ON events (type);
CREATE INDEX events_agent ON events (agent);
CREATE INDEX events_session ON events (session);
CREATE INDEX events_call ON events (call);
CREATE INDEX events_tool ON events (tool);
CREATE INDEX events_outcome ON events (outcome);
CREATE INDEX events_code ON events (code);
CREATE INDEX events_incident ON events (incident) WHERE incident IS NOT NULL;
PRAGMA user_version = ${schemaVersion};
`;

/** Opens or makes an index; `:memory:` for one that is not kept. */
export const openQueryIndex = (file: string): QueryIndex => {
  const db = openDatabase(file);
  const meta = db.prepare('SELECT origin, size, edge FROM meta');
  const setMeta = db.prepare('UPDATE meta SET origin = ?, size = ?, edge = ?');
  const add = db.prepare(`INSERT INTO events (idx, ${columns.join(', ')}) VALUES (?${', ?'.repeat(columns.length)})`);
  const byId = db.prepare('SELECT idx AS "index", * FROM events WHERE id = ?');
  const read = () => meta.get() as { origin: string; size: number; edge: Uint8Array };
  const prepared = new Map<string, ReturnType<typeof db.prepare>>();
  const prepare = (sql: string) => {
    const known = prepared.get(sql) ?? db.prepare(sql);
    prepared.set(sql, known);
    return known;
  };

  return {
    size: () => read().size,
    sync: async (log, onProgress) => {
      const { origin, size, edge } = read();
      const { checkpoint } = log;
      if (origin !== '' && origin !== checkpoint.origin)
        throw new CliError(`${file} is the index of ${origin}, not of ${checkpoint.origin}: give another --index`);
      if (checkpoint.size < size)
        throw new CliError(
          `${file} knows ${size} entries, the log has ${checkpoint.size}: it was cut back or is a copy from before; "evidence reindex" begins anew`,
        );
      const hashes = Array.from({ length: edge.length / HASH_BYTES }, (_, i) =>
        edge.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES),
      );
      const tree = createTree({ size, hashes });
      db.exec('BEGIN IMMEDIATE');
      try {
        for await (const { index, texts } of log.bundles(size)) {
          for (const [i, text] of texts.entries()) {
            tree.push(leafHash(text));
            const entry = readEntry(text);
            if (!entry.ok)
              throw new CliError(`entry ${index + i} is not of the form that entries have: ${entry.reason}`);
            const row = rowOf(entry.event);
            add.run(index + i, ...columns.map((column) => row[column]));
          }
          onProgress?.(tree.size);
        }
        const root = edgeRoot(tree.edge());
        if (tree.size !== checkpoint.size || Buffer.compare(root, checkpoint.root) !== 0)
          throw new CliError(
            size === 0
              ? 'the entries do not lead to the checkpoint: "agentgate evidence verify" says what is wrong with the log'
              : `the log does not go on from the ${size} entries that ${file} knows: verify it; "evidence reindex" begins anew`,
          );
        setMeta.run(checkpoint.origin, tree.size, Buffer.concat(tree.edge().hashes));
        db.exec('COMMIT');
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK');
        throw error;
      }
      if (tree.size > size) db.exec('PRAGMA optimize=0x10002');
    },
    find: (selection, { limit, newestFirst }) => {
      const { sql, values } = where(selection);
      const order = newestFirst ? 'DESC' : 'ASC';
      return prepare(`SELECT idx AS "index", * FROM events${sql} ORDER BY idx ${order} LIMIT ?`).all(
        ...values,
        limit,
      ) as unknown as FoundRow[];
    },
    count: (selection) => {
      const { sql, values } = where(selection);
      return (prepare(`SELECT count(*) AS n FROM events${sql}`).get(...values) as { n: number }).n;
    },
    byId: (id) => byId.get(id) as unknown as FoundRow | undefined,
    close: () => db.close(),
  };
};

const where = (selection: Selection): { sql: string; values: SQLInputValue[] } => {
  const { from, to, outcome, ...equal } = selection;
  const terms: [string, SQLInputValue][] = [];
  for (const [column, value] of Object.entries(equal)) if (value !== undefined) terms.push([`${column} = ?`, value]);
  if (outcome !== undefined) terms.push([`${/^[A-Z_]+$/.test(outcome) ? 'code' : 'outcome'} = ?`, outcome]);
  if (from !== undefined) terms.push(['time >= ?', from]);
  if (to !== undefined) terms.push(['time < ?', to]);
  const sql = terms.length === 0 ? '' : ` WHERE ${terms.map(([term]) => term).join(' AND ')}`;
  return { sql, values: terms.map(([, value]) => value) };
};

const openDatabase = (file: string): DatabaseSync => {
  // Made here for its mode: it says who did what.
  if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600));
  const db = new DatabaseSync(file, { timeout: 10_000 });
  // Derived: what a crash loses is read from the log again.
  db.exec(
    'PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -65536',
  );
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version === 0) db.exec(`BEGIN EXCLUSIVE; ${schema} COMMIT`);
  else if (version !== schemaVersion) {
    db.close();
    throw new CliError(`${file} is an index of another version: "evidence reindex" makes it anew`);
  }
  return db;
};
