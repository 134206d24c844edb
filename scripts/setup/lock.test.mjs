import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { withLock } from './lock.mjs';

const inFolder = async (work) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentgate-lock-'));
  try {
    await work(join(folder, 'lock'), folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const options = { waitMs: 5_000, say: () => undefined };

const heldBy = async (lock, owner) => {
  await mkdir(lock);
  await writeFile(join(lock, 'owner.json'), JSON.stringify(owner));
};

test('lets one in at a time, and leaves nothing behind', () =>
  inFolder(async (lock, folder) => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 6 }, () => withLock(lock, options, work)));
    assert.equal(most, 1);
    assert.deepEqual(await readdir(folder), []);
  }));

test('is free again after the work failed', () =>
  inFolder(async (lock) => {
    const failing = withLock(lock, options, async () => {
      throw new Error('no luck');
    });
    await assert.rejects(failing, /no luck/);
    assert.equal(await withLock(lock, options, async () => 'in'), 'in');
  }));

test('of many that find the lock of a dead process, one at a time gets in', () =>
  inFolder(async (lock) => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    await heldBy(lock, { pid: dead, host: hostname(), token: 'old' });
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 10));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 6 }, () => withLock(lock, options, work)));
    assert.equal(most, 1);
  }));

test('waits for a living process, says so once, and gives up in the end', () =>
  inFolder(async (lock) => {
    await heldBy(lock, { pid: process.pid, host: hostname(), token: 'other' });
    const said = [];
    const waiting = withLock(lock, { waitMs: 400, say: (line) => said.push(line) }, async () => 'in');
    await assert.rejects(waiting, /has held .* for too long/);
    assert.deepEqual(said, [`waiting for another set-up (pid ${process.pid})`]);
    await access(join(lock, 'owner.json'));
  }));

test('takes over from an owner on another host whose heartbeat stopped', () =>
  inFolder(async (lock) => {
    await heldBy(lock, { pid: process.pid, host: 'elsewhere', token: 'other' });
    const old = new Date(Date.now() - 60_000);
    await utimes(lock, old, old);
    assert.equal(await withLock(lock, options, async () => 'in'), 'in');
  }));
