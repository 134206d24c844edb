import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockHome } from '../../src/up/home-lock.ts';
import { processStamp } from '../../src/up/process-stamp.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentgate-lock-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));
const lockFile = () => join(home, 'run', 'up.pid');
const heldBy = (pid: number, stamp: string | undefined) => {
  mkdirSync(join(home, 'run'), { recursive: true });
  writeFileSync(lockFile(), JSON.stringify({ name: 'up', pid, stamp }));
};

test('refuses a home that a living process has, and names it', async () => {
  const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  try {
    heldBy(other.pid ?? 0, processStamp(other.pid ?? 0));
    await expect(lockHome(home)).rejects.toThrow(`is in use by the agentgate up with pid ${other.pid}`);
  } finally {
    other.kill('SIGKILL');
  }
});

test('takes a home from a process that is gone, also where its pid is somebody else now', async () => {
  heldBy(process.pid, 'of an earlier boot');
  const unlock = await lockHome(home);
  expect(existsSync(lockFile())).toBe(true);
  unlock();
  expect(existsSync(lockFile())).toBe(false);
});

test('takes a home whose lock cannot be read', async () => {
  mkdirSync(join(home, 'run'));
  writeFileSync(lockFile(), '{');
  (await lockHome(home))();
});

test('says why a lock cannot be written', async () => {
  // A folder that takes no files, whoever we are.
  symlinkSync('/proc', join(home, 'run'));
  await expect(lockHome(home)).rejects.toThrow(`${lockFile()}: cannot be written: ENOENT`);
});
