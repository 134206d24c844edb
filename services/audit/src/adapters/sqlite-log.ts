import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Edge, HASH_BYTES } from '@agentgate/evidence';
import type { AnomalyBook } from '../anomaly-reporter.ts';
import type { LogStore, OpenCall, ProducerName } from '../log-store.ts';
import type { LogEntry } from '../publisher.ts';
import type { CommittedEntries } from '../recover-log.ts';
import { createRowWriter } from './row-writer.ts';
import { schema, schemaVersion } from './schema.ts';

/** The evidence on disk: what the domain, the publisher and the reporter need of it. */
export interface SqliteLog extends LogStore, AnomalyBook, CommittedEntries {
  /** Entries from `index` on, in order, without a hole; undefined where the first of them is in the published folder alone. */
  entries(index: number, limit: number): LogEntry[] | undefined;
  /** From now on only transactions under this lease write. */
  fence(token: string): void;
  anomalyCount(): number;
  close(): void;
}

/** Another process took the log over. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}

/** Batches that were refused are kept up to here: the first ones, because later ones may only serve to push those out. */
const quarantineRows = 1_000;
const quarantineBytes = 64 * 1024 * 1024;

/** Opens or makes `evidence.db` in this folder. */
export const openSqliteLog = (folder: string, lockWaitMs = 5_000): SqliteLog => {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'evidence.db');
  // Made here for its mode, which SQLite's other files take over.
  closeSync(openSync(file, 'a', 0o600));
  return createSqliteLog(new DatabaseSync(file, { timeout: lockWaitMs, enableForeignKeyConstraints: true }), 'wal');
};

/** The same on a database of the caller's; `memory` has no journal to sync. */
export const createSqliteLog = (db: DatabaseSync, journal: 'wal' | 'memory'): SqliteLog => {
  prepareDatabase(db, journal);
  const statements = prepareStatements(db);
  const pending = prepareWriters(db);
  const readMeta = () => statements.meta.get() as { size: number; edge: Uint8Array; kept: number; fence: string };
  let { size, kept, fence } = readMeta();
  /** Most calls begin and end within one transaction: these need no row. */
  const opened = new Map<string, OpenCall>();
  /** The producer that the last entry was of. */
  let last: { source: string; epoch: string; id: number } | undefined;

  const producerOf = (source: string, epoch: string) =>
    statements.producer.get(source, epoch) as { id: number; seq: number; prev: string } | undefined;
  const idOf = ({ source, producerepoch: epoch }: { source: string; producerepoch: string }): number => {
    if (last?.source === source && last.epoch === epoch) return last.id;
    const id = producerOf(source, epoch)?.id ?? Number(statements.addProducer.run(source, epoch).lastInsertRowid);
    last = { source, epoch, id };
    return id;
  };
  const writePending = () => {
    for (const writer of [pending.entries, pending.places, pending.closedCalls]) writer.write();
    // After the endings: a call may be begun again after its end.
    for (const { call, deadline, decided, tenant = null, agent = null, session = null } of opened.values())
      pending.openCalls.add(call, deadline, decided, tenant, agent, session);
    opened.clear();
    pending.openCalls.write();
  };
  const forgetPending = () => {
    opened.clear();
    for (const writer of Object.values(pending)) writer.clear();
  };

  return {
    transaction: (work) => {
      db.exec('BEGIN IMMEDIATE');
      try {
        if (readMeta().fence !== fence) throw new Fenced('another process sequences this log now');
        const result = work();
        writePending();
        db.exec('COMMIT');
        return result;
      } catch (error) {
        // A failed COMMIT has already rolled back.
        if (db.isTransaction) db.exec('ROLLBACK');
        forgetPending();
        last = undefined;
        ({ size, kept } = readMeta());
        throw error;
      }
    },
    fence: (token) => {
      statements.fence.run(token);
      fence = token;
      ({ size, kept } = readMeta());
    },
    head: (source, epoch) => {
      const found = producerOf(source, epoch);
      return found && found.seq > 0 ? { epoch, seq: found.seq, hash: found.prev } : undefined;
    },
    setHead: (source, { epoch, seq, hash }) => void statements.setHead.run(source, epoch, seq, hash),
    hashAt: (source, epoch, seq) => {
      pending.places.write();
      return (statements.hashAt.get(source, epoch, seq) as { hash: string } | undefined)?.hash.toLowerCase();
    },
    append: ({ bytes, leafHash, event, eventHash }) => {
      if (statements.addId.run(event.id).changes === 0) return false;
      pending.places.add(idOf(event), event.producerseq, Buffer.from(eventHash, 'hex'));
      pending.entries.add(size, leafHash, event.tenant ?? null, event.type, bytes);
      size++;
      return true;
    },
    setEdge: ({ size, hashes }) => void statements.setEdge.run(size, Buffer.concat(hashes)),
    edge: (): Edge => {
      const { size, edge } = readMeta();
      const hashes = Array.from({ length: edge.length / HASH_BYTES }, (_, i) =>
        edge.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
      );
      return { size, hashes };
    },
    prune: (before) => {
      if (before <= kept) return;
      statements.setKept.run(before);
      statements.prune.run(before);
      kept = before;
    },
    setAlive: ({ source, epoch }, alive) => void statements.setAlive.run(alive ? 1 : 0, source, epoch),
    alive: () => statements.alive.all() as unknown as ProducerName[],
    addAnomaly: ({ key, kind, about, detail, tenant = null, agent = null, session = null, toEvidence }, at) =>
      (
        statements.addAnomaly.get(key, kind, about, detail, tenant, agent, session, at, toEvidence ? 1 : 0) as {
          times: number;
        }
      ).times === 1,
    quarantine: ({ subject, data }, { kind, digest, at }) => {
      const { rows, bytes } = statements.quarantined.get() as { rows: number; bytes: number };
      if (rows < quarantineRows && bytes + data.length <= quarantineBytes)
        statements.quarantine.run(digest, kind, subject, at, data);
    },
    openCall: (call) => void opened.set(call.call, call),
    closeCall: (call) => {
      if (!opened.delete(call)) pending.closedCalls.add(call);
    },
    overdueCalls: (before, limit) =>
      statements.overdue.all(before, limit).map((row) => withoutNulls(row) as unknown as OpenCall),
    size: () => size,
    entries: (index, limit) =>
      index < kept ? undefined : (statements.entries.all(index, limit) as unknown as EntryRow[]).map(entryOf),
    texts: (index) => {
      const texts = (statements.texts.all(index) as { text: string }[]).map(({ text }) => text);
      if (texts.length !== size - index) throw new Error(`evidence.db does not hold entries ${index} to ${size - 1}`);
      return texts;
    },
    unreported: (limit) => statements.unreported.all(limit).map((row) => withoutNulls(row) as never),
    setReported: (row, event) => void statements.setReported.run(event, row),
    anomalyCount: () => (statements.anomalyCount.get() as { n: number }).n,
    close: () => db.close(),
  };
};

/** As EVIDENCE gets them, hundreds at a time: a row that comes as an object weighs as much again as what it holds. */
type EntryRow = [LogEntry['index'], LogEntry['leafHash'], LogEntry['body'], LogEntry['tenant'], LogEntry['type']];
const entryOf = (row: EntryRow): LogEntry => ({
  index: row[0],
  leafHash: row[1],
  body: row[2],
  tenant: row[3],
  type: row[4],
});

const withoutNulls = (row: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));

const pragma = (db: DatabaseSync, name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];

/** The pages that a transaction touches at a million entries; the default of 2 MiB reads some of them again from disk each time. */
const cacheKiB = 8_192;
/** A transaction writes some hundred kilobytes, and each page costs two writes, and later a read and a third. */
const pageBytes = 16_384;

/** Refuses a database that would not keep what it acknowledges, or whose tables are not ours. */
const prepareDatabase = (db: DatabaseSync, journal: 'wal' | 'memory') => {
  db.exec(
    `PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = ${journal}; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -${cacheKiB}`,
  );
  // A checkpoint each 32 MiB instead of each 4: it syncs twice and holds up everything meanwhile.
  db.exec('PRAGMA wal_autocheckpoint = 2048; PRAGMA journal_size_limit = 67108864');
  // What a statement may have to take back goes to memory, not to a file that is made and deleted in each transaction.
  db.exec('PRAGMA temp_store = MEMORY');
  const found = {
    journal: pragma(db, 'journal_mode'),
    synchronous: pragma(db, 'synchronous'),
    version: pragma(db, 'user_version'),
  };
  if (found.journal !== journal || found.synchronous !== 2)
    throw new Error(`SQLite has journal ${found.journal} and synchronous ${found.synchronous}, not ${journal} and 2`);
  if (found.version === 1)
    throw new Error(
      'evidence.db was written by an earlier version of AgentGate (schema 1), whose entries no checkpoint covers: start with a new home, and keep the old one to read',
    );
  if (found.version === 0) db.exec(`BEGIN EXCLUSIVE; ${schema} COMMIT`);
  else if (found.version !== schemaVersion)
    throw new Error(`the evidence log has schema ${found.version}; this program knows ${schemaVersion}`);
};

/** What a transaction adds, event by event. */
const prepareWriters = (db: DatabaseSync) => ({
  entries: createRowWriter(
    db,
    5,
    (rows) => `INSERT INTO entries (idx, leaf_hash, tenant, type, entry) VALUES ${rows}`,
    // Its UTF-8 as it is, so that nobody makes a string of it.
    '(?,?,?,?,CAST(? AS TEXT))',
  ),
  places: createRowWriter(db, 3, (rows) => `INSERT INTO places (producer, seq, event_hash) VALUES ${rows}`),
  closedCalls: createRowWriter(db, 1, (rows) => `DELETE FROM open_calls WHERE call IN (VALUES ${rows})`),
  openCalls: createRowWriter(
    db,
    6,
    (rows) =>
      `INSERT INTO open_calls (call, deadline, decided, tenant, agent, session) VALUES ${rows} ON CONFLICT (call) DO NOTHING`,
  ),
});

const prepareStatements = (db: DatabaseSync) => {
  const entries = db.prepare(
    'SELECT idx, lower(hex(leaf_hash)), CAST(entry AS BLOB), tenant, type FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
  );
  entries.setReturnArrays(true);
  return {
    meta: db.prepare('SELECT size, edge, kept, fence FROM meta'),
    setEdge: db.prepare('UPDATE meta SET size = ?, edge = ?'),
    setKept: db.prepare('UPDATE meta SET kept = ?'),
    fence: db.prepare('UPDATE meta SET fence = ?'),
    producer: db.prepare('SELECT id, seq, prev FROM producers WHERE source = ? AND epoch = ?'),
    addProducer: db.prepare(`INSERT INTO producers (source, epoch, seq, prev) VALUES (?, ?, 0, '')`),
    setHead: db.prepare(
      'INSERT INTO producers (source, epoch, seq, prev) VALUES (?,?,?,?) ON CONFLICT (source, epoch) DO UPDATE SET seq = excluded.seq, prev = excluded.prev',
    ),
    setAlive: db.prepare('UPDATE producers SET alive = ? WHERE source = ? AND epoch = ?'),
    alive: db.prepare('SELECT source, epoch FROM producers WHERE alive = 1'),
    hashAt: db.prepare(
      'SELECT hex(event_hash) AS hash FROM places JOIN producers ON producers.id = producer WHERE source = ? AND epoch = ? AND places.seq = ?',
    ),
    addId: db.prepare('INSERT INTO ids (id) VALUES (?) ON CONFLICT DO NOTHING'),
    prune: db.prepare('DELETE FROM entries WHERE idx < ?'),
    texts: db.prepare('SELECT entry AS text FROM entries WHERE idx >= ? ORDER BY idx'),
    addAnomaly: db.prepare(
      'INSERT INTO anomalies (key, kind, about, detail, tenant, agent, session, at, to_evidence) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET times = times + 1 RETURNING times',
    ),
    quarantined: db.prepare('SELECT count(*) AS rows, coalesce(sum(length(body)), 0) AS bytes FROM quarantine'),
    quarantine: db.prepare(
      'INSERT INTO quarantine (digest, kind, subject, at, body) VALUES (?,?,?,?,?) ON CONFLICT (digest) DO NOTHING',
    ),
    overdue: db.prepare('SELECT * FROM open_calls WHERE deadline <= ? ORDER BY deadline LIMIT ?'),
    entries,
    unreported: db.prepare(
      'SELECT id AS row, kind, about, detail, tenant, agent, session FROM anomalies WHERE event IS NULL AND to_evidence = 1 ORDER BY id LIMIT ?',
    ),
    setReported: db.prepare('UPDATE anomalies SET event = ? WHERE id = ?'),
    anomalyCount: db.prepare('SELECT count(*) AS n FROM anomalies'),
  };
};
