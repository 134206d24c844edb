import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSqliteLog, openSqliteLog } from '../../src/adapters/sqlite-log.ts';
import { createTestProducer } from '../producer.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const producer = createTestProducer('ingress');
const entry = () => {
  const { event } = producer.beat();
  return { text: 'text', leafHash: Buffer.alloc(32, 1), event, eventHash: 'ab'.repeat(32) };
};
const anomaly = { kind: 'hole', about: 'a', detail: 'd', key: 'hole a', toEvidence: true } as const;

test('refuses to change or delete an entry', () => {
  const db = new DatabaseSync(':memory:');
  const log = createSqliteLog(db, 'memory');
  log.transaction(() => log.append(entry()));
  expect(() => db.exec(`UPDATE entries SET entry = ''`)).toThrow('an entry cannot be changed');
  expect(() => db.exec('DELETE FROM entries')).toThrow('an entry cannot be deleted');
});

test('keeps its files to its user', () => {
  const log = openSqliteLog(join(folder, 'evidence'));
  log.transaction(() => log.append(entry()));
  for (const file of ['evidence.db', 'evidence.db-wal'])
    expect(statSync(join(folder, 'evidence', file)).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'evidence')).mode & 0o777).toBe(0o700);
  log.close();
});

test('keeps a second process out', () => {
  const log = openSqliteLog(folder);
  log.transaction(() => log.append(entry()));
  expect(() => openSqliteLog(folder, 20)).toThrow('database is locked');
  log.close();
  const second = openSqliteLog(folder);
  expect(second.size()).toBe(1);
  second.close();
});

test('refuses a log whose schema it does not know', () => {
  const db = new DatabaseSync(join(folder, 'evidence.db'));
  db.exec('PRAGMA user_version = 7');
  db.close();
  expect(() => openSqliteLog(folder)).toThrow('the evidence log has schema 7; this program knows 1');
});

test('counts an anomaly that is seen again, and tells of it once', () => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  expect([
    log.addAnomaly(anomaly, 1),
    log.addAnomaly(anomaly, 2),
    log.addAnomaly({ ...anomaly, key: 'other', toEvidence: false }, 3),
  ]).toEqual([true, false, true]);
  expect(log.anomalyCount()).toBe(2);
  expect(log.unreported(10)).toEqual([{ row: 1, kind: 'hole', about: 'a', detail: 'd' }]);
  log.setReported(1, 'evt_1');
  expect(log.unreported(10)).toEqual([]);
});

test('keeps text with NUL or a lone surrogate as something that can be told', () => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  log.addAnomaly({ ...anomaly, about: 'a\0b', detail: 'x\ud800y' }, 1);
  const [row] = log.unreported(1);
  expect(row?.about).toBe('a\0b');
  expect(row?.detail.isWellFormed()).toBe(true);
});

test('keeps the first 64 MiB of refused batches and no more', () => {
  const db = new DatabaseSync(':memory:');
  const log = createSqliteLog(db, 'memory');
  const data = new Uint8Array(16 * 1024 * 1024);
  for (const digest of ['1', '2', '3', '4', '5'])
    log.quarantine({ subject: 's', seq: 1, data }, { kind: 'malformed', digest, at: 1 });
  expect(db.prepare('SELECT digest FROM quarantine').all()).toEqual([
    { digest: '1' },
    { digest: '2' },
    { digest: '3' },
    { digest: '4' },
  ]);
});

test('keeps the first 1,000 refused batches and no more', () => {
  const db = new DatabaseSync(':memory:');
  const log = createSqliteLog(db, 'memory');
  for (let i = 0; i < 1_002; i++)
    log.quarantine({ subject: 's', seq: 1, data: new Uint8Array(1) }, { kind: 'malformed', digest: String(i), at: 1 });
  expect(db.prepare('SELECT count(*) AS n FROM quarantine').get()).toEqual({ n: 1_000 });
});
