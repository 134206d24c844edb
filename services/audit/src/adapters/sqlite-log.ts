import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AnomalyBook } from '../anomaly-reporter.ts';
import type { LogStore, OpenCall } from '../log-store.ts';
import type { EntrySource, LogEntry } from '../publisher.ts';
import { schema, schemaVersion } from './schema.ts';

/** The evidence log on disk: what the domain, the publisher and the reporter need of it. */
export interface SqliteLog extends LogStore, EntrySource, AnomalyBook {
  anomalyCount(): number;
  close(): void;
}

/** Batches that were refused are kept up to here: the first ones, because later ones may only serve to push those out. */
const quarantineRows = 1_000;
const quarantineBytes = 64 * 1024 * 1024;

/** Opens or makes `evidence.db` in this folder. One process at a time: a second one waits, then is refused. */
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
  let size = statements.size();
  const producerOf = (source: string, epoch: string) =>
    statements.producer.get(source, epoch) as { id: number; seq: number; prev: string } | undefined;
  const addProducer = (source: string, epoch: string) =>
    Number(statements.addProducer.run(source, epoch).lastInsertRowid);

  return {
    transaction: (work) => {
      db.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        db.exec('COMMIT');
        return result;
      } catch (error) {
        // A failed COMMIT has already rolled back.
        if (db.isTransaction) db.exec('ROLLBACK');
        size = statements.size();
        throw error;
      }
    },
    head: (source, epoch) => {
      const found = producerOf(source, epoch);
      return found && found.seq > 0 ? { epoch, seq: found.seq, hash: found.prev } : undefined;
    },
    setHead: (source, { epoch, seq, hash }) => void statements.setHead.run(source, epoch, seq, hash),
    hashAt: (source, epoch, seq) =>
      (statements.hashAt.get(source, epoch, seq) as { hash: string } | undefined)?.hash.toLowerCase(),
    append: ({ text, leafHash, event, eventHash }) => {
      const producer =
        producerOf(event.source, event.producerepoch)?.id ?? addProducer(event.source, event.producerepoch);
      const { tenant = null, agent = null, session = null } = event;
      const written = statements.append.run(
        size,
        leafHash,
        Buffer.from(eventHash, 'hex'),
        event.id,
        producer,
        event.producerseq,
        tenant,
        agent,
        session,
        event.type,
        event.time,
        text,
      );
      if (written.changes === 0) return false;
      size++;
      return true;
    },
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
    openCall: ({ call, deadline, decided, tenant = null, agent = null, session = null }) =>
      void statements.openCall.run(call, deadline, decided, tenant, agent, session),
    closeCall: (call) => void statements.closeCall.run(call),
    overdueCalls: (before, limit) =>
      statements.overdue.all(before, limit).map((row) => withoutNulls(row) as unknown as OpenCall),
    size: () => size,
    entries: (index, limit) => statements.entries.all(index, limit) as unknown as LogEntry[],
    unreported: (limit) => statements.unreported.all(limit).map((row) => withoutNulls(row) as never),
    setReported: (row, event) => void statements.setReported.run(event, row),
    anomalyCount: () => (statements.anomalyCount.get() as { n: number }).n,
    close: () => db.close(),
  };
};

const withoutNulls = (row: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));

const pragma = (db: DatabaseSync, name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];

/** Refuses a database that would not keep what it acknowledges, or whose tables are not ours. */
const prepareDatabase = (db: DatabaseSync, journal: 'wal' | 'memory') => {
  db.exec(
    `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = ${journal}; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF`,
  );
  // A checkpoint each 32 MiB instead of each 4: it syncs twice and holds up everything meanwhile.
  db.exec('PRAGMA wal_autocheckpoint = 8192; PRAGMA journal_size_limit = 67108864');
  const found = {
    journal: pragma(db, 'journal_mode'),
    synchronous: pragma(db, 'synchronous'),
    version: pragma(db, 'user_version'),
  };
  if (found.journal !== journal || found.synchronous !== 2)
    throw new Error(`SQLite has journal ${found.journal} and synchronous ${found.synchronous}, not ${journal} and 2`);
  if (found.version === 0) db.exec(`BEGIN EXCLUSIVE; ${schema} COMMIT`);
  else if (found.version !== schemaVersion)
    throw new Error(`the evidence log has schema ${found.version}; this program knows ${schemaVersion}`);
};

const prepareStatements = (db: DatabaseSync) => {
  const count = db.prepare('SELECT coalesce(max(idx) + 1, 0) AS n FROM entries');
  return {
    size: () => (count.get() as { n: number }).n,
    producer: db.prepare('SELECT id, seq, prev FROM producers WHERE source = ? AND epoch = ?'),
    addProducer: db.prepare(`INSERT INTO producers (source, epoch, seq, prev) VALUES (?, ?, 0, '')`),
    setHead: db.prepare(
      'INSERT INTO producers (source, epoch, seq, prev) VALUES (?,?,?,?) ON CONFLICT (source, epoch) DO UPDATE SET seq = excluded.seq, prev = excluded.prev',
    ),
    hashAt: db.prepare(
      'SELECT hex(event_hash) AS hash FROM entries JOIN producers ON producers.id = producer WHERE source = ? AND epoch = ? AND entries.seq = ?',
    ),
    append: db.prepare(
      'INSERT INTO entries (idx, leaf_hash, event_hash, id, producer, seq, tenant, agent, session, type, time, entry) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING',
    ),
    addAnomaly: db.prepare(
      'INSERT INTO anomalies (key, kind, about, detail, tenant, agent, session, at, to_evidence) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO UPDATE SET times = times + 1 RETURNING times',
    ),
    quarantined: db.prepare('SELECT count(*) AS rows, coalesce(sum(length(body)), 0) AS bytes FROM quarantine'),
    quarantine: db.prepare(
      'INSERT INTO quarantine (digest, kind, subject, at, body) VALUES (?,?,?,?,?) ON CONFLICT (digest) DO NOTHING',
    ),
    openCall: db.prepare(
      'INSERT INTO open_calls (call, deadline, decided, tenant, agent, session) VALUES (?,?,?,?,?,?) ON CONFLICT (call) DO NOTHING',
    ),
    closeCall: db.prepare('DELETE FROM open_calls WHERE call = ?'),
    overdue: db.prepare('SELECT * FROM open_calls WHERE deadline <= ? ORDER BY deadline LIMIT ?'),
    entries: db.prepare(
      'SELECT idx AS "index", lower(hex(leaf_hash)) AS leafHash, entry AS text, tenant, type FROM entries WHERE idx >= ? ORDER BY idx LIMIT ?',
    ),
    unreported: db.prepare(
      'SELECT id AS row, kind, about, detail, tenant, agent, session FROM anomalies WHERE event IS NULL AND to_evidence = 1 ORDER BY id LIMIT ?',
    ),
    setReported: db.prepare('UPDATE anomalies SET event = ? WHERE id = ?'),
    anomalyCount: db.prepare('SELECT count(*) AS n FROM anomalies'),
  };
};
