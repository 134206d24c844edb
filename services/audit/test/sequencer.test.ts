import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { generateSigningKey, type NoteSignature, parseNote, signNote } from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLogFolder } from '../src/adapters/log-folder.ts';
import { type Lease, type LockDatabase, openLockDatabase } from '../src/adapters/log-lock.ts';
import { createSqliteLog, type SqliteLog } from '../src/adapters/sqlite-log.ts';
import type { Cosign } from '../src/cosigning.ts';
import { recoverLog } from '../src/recover-log.ts';
import { createSequencer, type LogLock, type Published } from '../src/sequencer.ts';
import { createAudit } from '../src/service.ts';
import { createFaultyFiles, type Fault } from './faulty-files.ts';
import { createTestProducer, incoming, trustIn } from './producer.ts';
import { verifyFolder } from './verify-folder.ts';

const key = generateSigningKey();
const log = '/home/log';
let at = 1_800_000_000_000;
const now = () => at;
let folder: string;
let locksOf: (origin: string) => LockDatabase;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'audit-'));
  locksOf = (origin) => openLockDatabase(folder, { origin, now });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A log whose disk is the test's, and whose process ends and starts again at the test's will. */
let made = 0;
const createWorld = () => {
  const disk = createFaultyFiles();
  const origin = `log.example/${++made}`;
  const locks = locksOf(origin);
  const db = new DatabaseSync(':memory:');
  const producer = createTestProducer('ingress');
  const acknowledged: string[] = [];
  return {
    origin,
    disk,
    acknowledged,
    stop: () => {
      locks.close();
      db.close();
    },
    start: async (
      more: { cosign?: Cosign; lock?: (lease: Lease) => LogLock; onPublished?: (p: Published) => void } = {},
    ) => {
      at += 10_000;
      const lease = locks.take() ?? expect.fail('the lease is not free');
      const store: SqliteLog = createSqliteLog(db, 'memory');
      store.fence(lease.token);
      const files = createLogFolder({ log, staging: '/home/staging', files: disk.files });
      await files.open();
      const lock = more.lock?.(lease) ?? lease;
      const state = await recoverLog({ origin, key, folder: files, lock, entries: store });
      const failures: unknown[] = [];
      const sequencer = createSequencer(state, {
        origin,
        key,
        folder: files,
        lock,
        cosign: more.cosign,
        onPublished: more.onPublished ?? (() => {}),
        onTrouble: () => {},
        onFailure: (error) => failures.push(error),
      });
      const disclosures = { keep: () => {} };
      const keys = trustIn(producer);
      const audit = createAudit({ store, disclosures, tree: sequencer, keys, now, graceTicks: 1, maxHeld: 8 });
      return {
        sequencer,
        lease,
        store,
        failures,
        /** Appends, and acknowledges as the service does. */
        add: async (count: number) => {
          const items = producer.beats(count);
          audit.take([incoming('ingress', producer.seal(items))]);
          await sequencer.checkpoint();
          acknowledged.push(...items.map(({ event }) => event.id));
        },
      };
    },
    verify: () => verifyFolder((path) => disk.read(`${log}/${path}`), { origin, publicKey: key.publicKey }),
  };
};
const idsIn = (texts: string[]) => texts.map((text) => (JSON.parse(text) as { event: { id: string } }).event.id);

test('publishes a checkpoint and tiles that lead to it, across tiles and restarts', async () => {
  const world = createWorld();
  for (const counts of [
    [1, 2, 253],
    [1, 300],
    [512, 7],
  ]) {
    const run = await world.start();
    for (const count of counts) await run.add(count);
    await run.sequencer.close();
    const verified = world.verify();
    expect(verified.size).toBe(run.store.size());
    expect(idsIn(verified.texts)).toEqual(world.acknowledged);
  }
});

test('publishes what was committed before the crash when it starts again', async () => {
  const world = createWorld();
  const run = await world.start();
  await run.add(3);
  world.disk.inject({ at: 1, how: 'crash' });
  await expect(run.add(4)).rejects.toThrow('EDEAD');
  world.disk.restart(true);
  const again = await world.start();
  await again.sequencer.checkpoint();
  expect(world.verify().size).toBe(7);
});

/** Runs the same script with one call of the disk going wrong, then starts again and goes on. */
const runWithFault = async (fault: Fault, power: boolean) => {
  const world = createWorld();
  const run = await world.start();
  await run.add(250);
  await run.sequencer.close();
  world.disk.inject(fault);
  const ended = await (async () => {
    await run.add(3);
    await run.add(5);
    await run.add(5);
    await run.sequencer.close();
  })().then(
    () => undefined,
    (error: unknown) => error,
  );
  const calls = world.disk.calls().length;
  if (run.failures.length > 0 || ended !== undefined) {
    // Nothing is signed or acknowledged after a failure.
    await expect(run.add(1)).rejects.toThrow();
  }
  world.disk.restart(power);
  const again = await world.start();
  await again.sequencer.checkpoint();
  await again.add(2);
  await again.sequencer.close();
  const { texts } = world.verify();
  const ids = idsIn(texts);
  expect(world.acknowledged.filter((id) => !ids.includes(id))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
  world.stop();
  return { calls };
};

test('loses nothing that was acknowledged, and verifies, whichever call fails, or is the last before a crash', {
  timeout: 180_000,
}, async () => {
  const { calls } = await runWithFault({ at: Number.POSITIVE_INFINITY, how: 'fail' }, false);
  expect(calls).toBeGreaterThan(60);
  for (const how of ['fail', 'fail after', 'crash'] as const)
    for (let call = 1; call <= calls; call++) await runWithFault({ at: call, how }, how === 'crash' && call % 2 === 0);
});

test('halts at a path that is published with other bytes, and signs nothing', async () => {
  const world = createWorld();
  const run = await world.start();
  await run.add(3);
  world.disk.forge(`${log}/tile/0/000.p/5`, 'forged');
  await expect(run.add(2)).rejects.toThrow('tile/0/000.p/5 is published with other bytes');
  expect(world.verify().size).toBe(3);
  await expect(run.sequencer.checkpoint()).rejects.toThrow();
});

test('refuses to sign after an older database was restored', async () => {
  const world = createWorld();
  const run = await world.start();
  await run.add(3);
  const restored: SqliteLog = { ...run.store, size: () => 2 };
  const files = createLogFolder({ log, staging: '/home/staging', files: world.disk.files });
  await expect(
    recoverLog({ origin: world.origin, key, folder: files, lock: run.lease, entries: restored }),
  ).rejects.toThrow(
    'a checkpoint of 3 entries was signed, and evidence.db has only 2, as after a restored backup: refusing to sign',
  );
});

test('refuses to sign where the lock database forgot, where tiles are gone or changed, or the key is another', async () => {
  const world = createWorld();
  const run = await world.start();
  await run.add(3);
  const files = createLogFolder({ log, staging: '/home/staging', files: world.disk.files });
  const recover = (more: object = {}) =>
    recoverLog({ origin: world.origin, key, folder: files, lock: run.lease, entries: run.store, ...more });
  await expect(recover({ lock: { checkpoint: () => undefined } })).rejects.toThrow('the lock database has none');
  await expect(recover({ key: generateSigningKey() })).rejects.toThrow('is not one of this log and its key');
  const other = Buffer.alloc(96, 1).toString('latin1');
  world.disk.forge(`${log}/tile/0/000.p/3`, other);
  await expect(recover()).rejects.toThrow('the published tiles are not those of the last checkpoint');
  await world.disk.files.remove(`${log}/tile/0/000.p/3`);
  await expect(recover()).rejects.toThrow('the published folder has no tile/0/000.p/3');
});

test('signs and publishes nothing once another took the lease', async () => {
  const world = createWorld();
  const stale = await world.start();
  await stale.add(3);
  const fresh = await world.start();
  await fresh.add(2);
  const published = world.verify();
  await expect(stale.add(1)).rejects.toThrow('another process sequences this log now');
  await stale.sequencer.heartbeat().catch(() => {});
  expect(stale.failures.map(String)).toEqual([expect.stringContaining('another process sequences this log now')]);
  expect(world.verify()).toEqual(published);
});

test('signs nothing when the lock database has another checkpoint, or cannot be written', async () => {
  for (const error of ['disk I/O error', 'stored, and errored all the same']) {
    const world = createWorld();
    const lock = (lease: Lease): LogLock => ({
      ...lease,
      replace: (from, to) => {
        if (error.startsWith('stored')) lease.replace(from, to);
        throw new Error(error);
      },
    });
    const run = await world.start({ lock });
    await expect(run.add(3)).rejects.toThrow(error);
    expect(world.acknowledged).toEqual([]);
    const again = await world.start();
    await again.sequencer.checkpoint();
    expect(world.verify().size).toBe(3);
  }
});

test('publishes the cosignatures that came, the newest checkpoint next, and acknowledges without them', async () => {
  const world = createWorld();
  const witness = { name: 'witness.example/w', key: generateSigningKey() };
  const asked: number[] = [];
  let answer: (signatures: NoteSignature[]) => void = () => {};
  const cosign: Cosign = ({ size, note }) =>
    new Promise((resolve) => {
      asked.push(size);
      answer = (signatures) => resolve(signatures.length > 0 ? [signNote(parseNote(note).text, witness)] : []);
    });
  const published: Published[] = [];
  const run = await world.start({ cosign, onPublished: (p) => published.push(p) });
  await run.add(1);
  await run.add(1);
  await run.add(1);
  expect([asked, published, world.acknowledged.length]).toEqual([[1], [], 3]);
  const some = [{ name: 'any', id: '00000000', bytes: new Uint8Array(1) }];
  answer(some);
  await expect.poll(() => asked).toEqual([1, 3]);
  expect(published.map(({ size, note }) => [size, parseNote(note).signatures.length])).toEqual([[1, 2]]);
  answer([]);
  await run.sequencer.close();
  expect(published.map(({ size, note }) => [size, parseNote(note).signatures.length])).toEqual([
    [1, 2],
    [3, 1],
  ]);
  expect(world.verify().size).toBe(3);
});

test('publishes the same checkpoint again at a heartbeat', async () => {
  const world = createWorld();
  const published: Published[] = [];
  const run = await world.start({ onPublished: (p) => published.push(p) });
  await run.add(2);
  await run.sequencer.heartbeat();
  expect(published.map(({ size }) => size)).toEqual([2, 2]);
  expect(published[0]?.note).toBe(published[1]?.note);
});
