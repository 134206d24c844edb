import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeLog, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';

// The program itself: its exit codes, and a pipe without bar or colours.

const bin = fileURLToPath(new URL('../../bin/agentgate.mjs', import.meta.url));
const log = makeLog(12, 300);
const vkey = vkeysOf(log.deployment.keys).log;
let dir: string;
const run = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, 'evidence', 'verify', ...args], {
    encoding: 'utf8',
    env: { ...process.env, AGENTGATE_HOME: join(dir, 'no-home') },
  });
  return { status, stdout, stderr };
};

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-verify-'));
  for (const [path, bytes] of log.files) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), bytes);
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('exits with 0 for good evidence', () => {
  const { status, stdout, stderr } = run(dir, '--vkey', vkey);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^✓ 300 entries of log\.example\/agentgate: sealed, chained and in place\n/);
});

test('exits with 1 for bad evidence', () => {
  rmSync(join(dir, 'tile/entries/000'));
  const { status, stdout } = run(dir, '--vkey', vkey);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^✗ entries 0 to 255 are missing\n/);
});

test('exits with 2 for a command line that it does not understand', () => {
  expect(run(dir, '--frobnicate')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining("unknown option '--frobnicate'"),
  });
});
