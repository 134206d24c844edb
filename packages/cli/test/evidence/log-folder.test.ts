import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openLogFolder } from '../../src/evidence/log-folder.ts';

let dir: string;
let outside: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-folder-'));
  outside = mkdtempSync(join(tmpdir(), 'agentgate-outside-'));
  mkdirSync(join(dir, 'tile/0'), { recursive: true });
  writeFileSync(join(dir, 'checkpoint'), 'a note');
  writeFileSync(join(outside, 'secret'), 'a secret');
});
afterEach(() => {
  for (const each of [dir, outside]) rmSync(each, { recursive: true, force: true });
});

test('reads a file, through a link to the folder itself too', async () => {
  const link = join(outside, 'log');
  symlinkSync(dir, link);
  for (const place of [dir, link]) {
    const read = await openLogFolder(place);
    expect(Buffer.from((await read('checkpoint', 100)) ?? []).toString()).toBe('a note');
  }
});

test('says undefined of what is not there, and of what lies below a file', async () => {
  const read = await openLogFolder(dir);
  expect(await read('tile/0/000', 100)).toBeUndefined();
  expect(await read('tile/7/000', 100)).toBeUndefined();
  expect(await read('checkpoint/000', 100)).toBeUndefined();
});

test('reads one byte more than it may of a file of a terabyte', async () => {
  writeFileSync(join(dir, 'tile/0/000'), '');
  truncateSync(join(dir, 'tile/0/000'), 2 ** 40);
  const read = await openLogFolder(dir);
  expect((await read('tile/0/000', 8_192))?.length).toBe(8_193);
});

test('refuses a link to a file, wherever it leads', async () => {
  symlinkSync(join(outside, 'secret'), join(dir, 'tile/0/000'));
  symlinkSync('/dev/zero', join(dir, 'tile/0/001'));
  const read = await openLogFolder(dir);
  await expect(read('tile/0/000', 100)).rejects.toThrow('tile/0/000 is a link, which a log has none of');
  await expect(read('tile/0/001', 100)).rejects.toThrow('tile/0/001 is a link, which a log has none of');
});

test('refuses a folder that leads out of the log', async () => {
  symlinkSync(outside, join(dir, 'tile/1'));
  const read = await openLogFolder(dir);
  await expect(read('tile/1/secret', 100)).rejects.toThrow('tile/1/secret lies outside of');
});

test('neither waits for a pipe nor reads a folder as a file', async () => {
  expect(spawnSync('mkfifo', [join(dir, 'tile/0/000')]).status).toBe(0);
  const read = await openLogFolder(dir);
  await expect(read('tile/0/000', 100)).rejects.toThrow('tile/0/000 is no ordinary file');
  await expect(read('tile', 100)).rejects.toThrow('tile is no ordinary file');
});

test('says which folder is not there', async () => {
  await expect(openLogFolder(join(dir, 'nowhere'))).rejects.toThrow(`there is no folder ${join(dir, 'nowhere')}`);
});
