import { closeSync, openSync, readSync, statSync } from 'node:fs';
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
  /**
   * Takes what the log has more, and finds from then on what that checkpoint covers. False where it knows more than that: the log was cut
   * back, or another process has seen a newer checkpoint. Throws CliError where the log is not the one that it knows the beginning of.
   */
  sync(log: PublishedLog, onProgress?: (entries: number) => void): Promise<boolean>;
  find(selection: Selection, page: { limit: number; newestFirst: boolean }): FoundRow[];
  count(selection: Selection): number;
  byId(id: string): FoundRow | undefined;
  close(): void;
}

const schemaVersion = 1;
/** "AGev", so that no other database is taken for an index, or thrown away as one. */
const applicationId = 0x41476576;
const applicationIdAt = 68;
/** Entries whose times are summed up: the log's order is nearly that of time, so a time is found without an index of its own. */
const blockSize = 256;
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
/** Each ends in the log's order, so that the newest are found without sorting; an agent's have what ended so without reading all of them. */
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
CREATE TABLE blocks (block INTEGER PRIMARY KEY, earliest INTEGER NOT NULL, latest INTEGER NOT NULL) STRICT;
CREATE INDEX events_type ON events (type);
CREATE INDEX events_agent ON events (agent, idx, outcome, code);
CREATE INDEX events_session ON events (session);
CREATE INDEX events_call ON events (call);
CREATE INDEX events_tool ON events (tool);
CREATE INDEX events_outcome ON events (outcome);
CREATE INDEX events_code ON events (code);
CREATE INDEX events_incident ON events (incident) WHERE incident IS NOT NULL;
PRAGMA user_version = ${schemaVersion};
`;

/** Whether a file is an index, so that it may be made anew; undefined where there is none. */
export const isIndexFile = (file: string): boolean | undefined => {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined || size === 0) return undefined;
  const head = Buffer.alloc(applicationIdAt + 4);
  const opened = openSync(file, 'r');
  readSync(opened, head);
  closeSync(opened);
  return head.toString('latin1', 0, 16) === 'SQLite format 3\0' && head.readUInt32BE(applicationIdAt) === applicationId;
};

/** Opens or makes an index; `:memory:` for one that is not kept. Throws CliError where the file is none, or another process keeps it. */
export const openQueryIndex = (file: string): QueryIndex => {
  const db = told(file, () => openDatabase(file));
  const meta = db.prepare('SELECT origin, size, edge FROM meta');
  const setMeta = db.prepare('UPDATE meta SET origin = ?, size = ?, edge = ?');
  const add = db.prepare(`INSERT INTO events (idx, ${columns.join(', ')}) VALUES (?${', ?'.repeat(columns.length)})`);
  const addTimes = db.prepare(
    'INSERT INTO blocks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET earliest = min(earliest, ?2), latest = max(latest, ?3)',
  );
  const blocks = db.prepare(
    'SELECT min(block) AS first, max(block) AS last FROM blocks WHERE latest >= ? AND earliest < ?',
  );
  const byId = db.prepare('SELECT idx AS "index", * FROM events WHERE id = ? AND idx < ?');
  const read = () => meta.get() as { origin: string; size: number; edge: Uint8Array };
  const prepared = new Map<string, ReturnType<typeof db.prepare>>();
  const prepare = (sql: string) => {
    const known = prepared.get(sql) ?? db.prepare(sql);
    prepared.set(sql, known);
    return known;
  };
  /** Another process may take more while this one works. */
  let bound = read().size;

  const addAll = (first: number, texts: readonly string[]) => {
    let [earliest, latest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const [i, text] of texts.entries()) {
      const entry = readEntry(text);
      if (!entry.ok) throw new CliError(`entry ${first + i} is not of the form that entries have: ${entry.reason}`);
      const row = rowOf(entry.event);
      add.run(first + i, ...columns.map((column) => row[column]));
      earliest = Math.min(earliest, row.time);
      latest = Math.max(latest, row.time);
    }
    if (texts.length > 0) addTimes.run(Math.floor(first / blockSize), earliest, latest);
  };
  const take = async (log: PublishedLog, onProgress?: (entries: number) => void): Promise<boolean> => {
    const { origin, size, edge } = read();
    const { checkpoint } = log;
    if (origin !== '' && origin !== checkpoint.origin)
      throw new CliError(`${file} is the index of ${origin}, not of ${checkpoint.origin}: give another --index`);
    if (checkpoint.size < size) return false;
    const hashes = Array.from({ length: edge.length / HASH_BYTES }, (_, i) =>
      edge.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES),
    );
    const tree = createTree({ size, hashes });
    for await (const { index, texts } of log.bundles(size)) {
      for (const text of texts) tree.push(leafHash(text));
      addAll(index, texts);
      onProgress?.(tree.size);
    }
    const root = edgeRoot(tree.edge());
    if (tree.size !== checkpoint.size || Buffer.compare(root, checkpoint.root) !== 0)
      throw new CliError(
        size === 0
          ? 'the entries do not lead to the checkpoint: "agentgate evidence verify" says what is wrong with the log'
          : `the log does not go on from the ${size} entries that ${file} knows: verify it; "evidence reindex" begins anew`,
      );
    if (tree.size > size) setMeta.run(checkpoint.origin, tree.size, Buffer.concat(tree.edge().hashes));
    return true;
  };
  const where = ({ from, to, outcome, ...equal }: Selection): { sql: string; values: SQLInputValue[] } => {
    const terms: [string, SQLInputValue][] = [];
    // One bound at each end: SQLite would begin at the first of two.
    let end = bound;
    for (const [column, value] of Object.entries(equal)) if (value !== undefined) terms.push([`${column} = ?`, value]);
    if (outcome !== undefined) terms.push([`${/^[A-Z_]+$/.test(outcome) ? 'code' : 'outcome'} = ?`, outcome]);
    if (from !== undefined || to !== undefined) {
      const times = [from ?? Number.MIN_SAFE_INTEGER, to ?? Number.MAX_SAFE_INTEGER] as const;
      const { first, last } = blocks.get(...times) as { first: number | null; last: number | null };
      end = Math.min(bound, last === null ? 0 : (last + 1) * blockSize);
      terms.push(['idx >= ?', (first ?? 0) * blockSize]);
      terms.push(['time >= ?', times[0]], ['time < ?', times[1]]);
    }
    terms.push(['idx < ?', end]);
    return { sql: ` WHERE ${terms.map(([term]) => term).join(' AND ')}`, values: terms.map(([, value]) => value) };
  };

  return {
    size: () => bound,
    sync: async (log, onProgress) => {
      told(file, () => db.exec('BEGIN IMMEDIATE'));
      let isTaken = false;
      try {
        isTaken = await take(log, onProgress);
        db.exec('COMMIT');
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK');
        throw unforeseen(file, error);
      }
      if (isTaken && log.checkpoint.size > bound) db.exec('PRAGMA optimize=0x10002');
      bound = isTaken ? log.checkpoint.size : read().size;
      return isTaken;
    },
    find: (selection, { limit, newestFirst }) => {
      const { sql, values } = where(selection);
      const order = newestFirst ? 'DESC' : 'ASC';
      return told(file, () =>
        prepare(`SELECT idx AS "index", * FROM events${sql} ORDER BY idx ${order} LIMIT ?`).all(...values, limit),
      ) as unknown as FoundRow[];
    },
    count: (selection) => {
      const { sql, values } = where(selection);
      const counted = told(file, () => prepare(`SELECT count(*) AS n FROM events${sql}`).get(...values));
      return (counted as { n: number }).n;
    },
    byId: (id) => told(file, () => byId.get(id, bound)) as unknown as FoundRow | undefined,
    close: () => db.close(),
  };
};

/** What it says of an entry is not what the log says. */
export const wrongIndex = (at: number): string =>
  `the index is wrong about entry ${at}: "agentgate evidence reindex" makes it anew`;

const sqlite = { busy: 5, corrupt: 11, notADatabase: 26 } as const;

/** What a person can do about it, where SQLite says what it is. */
const unforeseen = (file: string, error: unknown): unknown => {
  const { errcode } = error as { errcode?: number };
  if (errcode === sqlite.busy)
    return new CliError(`${file} is being written by another process: try again when that is done`, { cause: error });
  if (errcode === sqlite.corrupt || errcode === sqlite.notADatabase)
    return new CliError(`${file} is broken: "evidence reindex" makes it anew`, { cause: error });
  return error;
};
const told = <T>(file: string, work: () => T): T => {
  try {
    return work();
  } catch (error) {
    throw unforeseen(file, error);
  }
};

const openDatabase = (file: string): DatabaseSync => {
  if (file !== ':memory:') {
    if (isIndexFile(file) === false) throw new CliError(`${file} is no index of evidence: give another --index`);
    // Made here for its mode: it says who did what.
    closeSync(openSync(file, 'a', 0o600));
  }
  const isNew = file === ':memory:' || statSync(file).size === 0;
  const db = new DatabaseSync(file, { timeout: 10_000 });
  // Before there is a journal that the file's head could lag behind.
  if (isNew) db.exec(`PRAGMA application_id = ${applicationId}`);
  // Derived: what a crash loses is read from the log again.
  db.exec(
    'PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -65536',
  );
  const version = () => (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version;
  if (version() === 0) {
    db.exec('BEGIN IMMEDIATE');
    // Another process may have made it meanwhile.
    db.exec(version() === 0 ? `${schema} COMMIT` : 'COMMIT');
  }
  if (version() !== schemaVersion) {
    db.close();
    throw new CliError(`${file} is an index of another version: "evidence reindex" makes it anew`);
  }
  return db;
};
