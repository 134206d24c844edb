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
  return { bytes: Buffer.from('tëxt 🗝'), leafHash: Buffer.alloc(32, 1), event, eventHash: 'ab'.repeat(32) };
};
const anomaly = { kind: 'hole', about: 'a', detail: 'd', key: 'hole a', toEvidence: true } as const;

test('refuses to change or delete an entry', () => {
  const db = new DatabaseSync(':memory:');
  const log = createSqliteLog(db, 'memory');
  log.transaction(() => [entry(), entry(), entry()].map(log.append));
  expect(() => db.exec(`UPDATE entries SET entry = ''`)).toThrow('an entry cannot be changed');
  expect(() => db.exec('DELETE FROM entries')).toThrow('an entry cannot be deleted');
  log.transaction(() => log.prune(2));
  expect(() => db.exec('DELETE FROM entries')).toThrow('an entry cannot be deleted');
  expect([log.entries(1, 5), log.entries(2, 5)?.map(({ index }) => index), log.size()]).toEqual([undefined, [2], 3]);
});

test('keeps its files to its user', () => {
  const log = openSqliteLog(join(folder, 'evidence'));
  log.transaction(() => log.append(entry()));
  for (const file of ['evidence.db', 'evidence.db-wal'])
    expect(statSync(join(folder, 'evidence', file)).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'evidence')).mode & 0o777).toBe(0o700);
  log.close();
});

test('lets nobody write who was fenced off', () => {
  const [stale, fresh] = [openSqliteLog(folder), openSqliteLog(folder)];
  stale.fence('one');
  stale.transaction(() => {
    stale.append(entry());
    stale.setEdge({ size: 1, hashes: [Buffer.alloc(32)] });
  });
  fresh.fence('two');
  expect(fresh.size()).toBe(1);
  expect(() => stale.transaction(() => stale.append(entry()))).toThrow('another process sequences this log now');
  fresh.transaction(() => fresh.append(entry()));
  expect(fresh.size()).toBe(2);
  for (const log of [stale, fresh]) log.close();
});

test.each([
  [1, 'was written by an earlier version of AgentGate (schema 1), whose entries no checkpoint covers'],
  [7, 'the evidence log has schema 7; this program knows 2'],
])('refuses a log of schema %i', (version, message) => {
  const db = new DatabaseSync(join(folder, 'evidence.db'));
  db.exec(`PRAGMA user_version = ${version}`);
  db.close();
  expect(() => openSqliteLog(folder)).toThrow(message);
});

test('keeps a call that ends in the transaction of its beginning out of the table of open ones', () => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  const call = (name: string) => ({ call: name, deadline: 1, decided: 'evt_1' });
  log.transaction(() => {
    for (const name of ['a', 'b']) log.openCall(call(name));
    log.closeCall('a');
  });
  expect(log.overdueCalls(2, 10)).toEqual([call('b')]);
  log.transaction(() => log.closeCall('b'));
  expect(log.overdueCalls(2, 10)).toEqual([]);
});

test.each([0, 31, 32, 100])('opens a call again that ended in the same transaction, beside %i others', (count) => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  const call = { call: 'a', deadline: 1, decided: 'evt_1' };
  log.transaction(() => log.openCall(call));
  log.transaction(() => {
    log.closeCall('a');
    log.openCall({ ...call, decided: 'evt_2' });
    for (let i = 0; i < count; i++) log.openCall({ call: `b${i}`, deadline: 2, decided: 'evt_1' });
  });
  expect(log.overdueCalls(1, 10)).toEqual([{ ...call, decided: 'evt_2' }]);
});

test.each([1, 31, 32, 33, 100])('writes all of %i entries, calls and endings of one transaction', (count) => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  const entries = Array.from({ length: count }, (_, i) => ({ ...entry(), leafHash: Buffer.alloc(32, i) }));
  const calls = entries.map(({ event }) => ({ call: event.id, deadline: 1, decided: 'evt_1' }));
  log.transaction(() => {
    for (const each of entries) log.append(each);
    for (const call of calls) log.openCall(call);
  });
  expect(log.entries(0, count + 1)?.map(({ index, leafHash }) => [index, leafHash])).toEqual(
    entries.map(({ leafHash }, i) => [i, leafHash.toString('hex')]),
  );
  expect(log.texts(0)).toEqual(entries.map(() => 'tëxt 🗝'));
  expect(log.overdueCalls(2, count + 1)).toHaveLength(count);
  log.transaction(() => {
    for (const { call } of calls.slice(1)) log.closeCall(call);
  });
  expect(log.overdueCalls(2, count + 1)).toEqual(calls.slice(0, 1));
});

test('knows the hash of an event within the transaction that appends it', () => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  const added = entry();
  const { source, producerepoch, producerseq } = added.event;
  log.transaction(() => {
    log.append(added);
    expect(log.hashAt(source, producerepoch, producerseq)).toBe(added.eventHash);
  });
});

test('writes nothing of a transaction that failed with the next one', () => {
  const log = createSqliteLog(new DatabaseSync(':memory:'), 'memory');
  const failing = () => {
    log.append(entry());
    log.openCall({ call: 'a', deadline: 1, decided: 'evt_1' });
    throw new Error('disk I/O error');
  };
  expect(() => log.transaction(failing)).toThrow('disk I/O error');
  log.transaction(() => log.append(entry()));
  expect([log.entries(0, 5)?.map(({ index }) => index), log.overdueCalls(2, 5)]).toEqual([[0], []]);
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
