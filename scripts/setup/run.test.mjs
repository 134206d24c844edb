import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRunner } from './run.mjs';

const runner = () => createRunner({ env: process.env });

test('returns the exit code and the output', async () => {
  const { code, out, stdout } = await runner().run('sh', ['-c', 'echo a; echo b >&2; exit 3'], { deadlineMs: 5_000 });
  assert.equal(code, 3);
  assert.equal(stdout, 'a\n');
  assert.deepEqual(out.split('\n').sort(), ['', 'a', 'b']);
});

test('returns 127 when there is no such program', async () => {
  assert.equal((await runner().run('no-such-program-here', [], { deadlineMs: 5_000 })).code, 127);
});

test('returns 124 when the deadline passed, and ends what the program had started', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'agentgate-run-'));
  try {
    const script = '(sleep 1; touch outlived) & wait';
    const { code, out } = await runner().run('sh', ['-c', script], { cwd: folder, deadlineMs: 300 });
    assert.equal(code, 124);
    assert.match(out, /not done within 0.3 s/);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    assert.deepEqual(await readdir(folder), []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('stop ends what still runs, and nothing is started after it', async () => {
  const { run, stop } = runner();
  const running = run('sleep', ['60'], { deadlineMs: 60_000 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await stop();
  assert.equal((await running).code, 128 + 15);
  assert.equal((await run('true', [], { deadlineMs: 5_000 })).code, 128 + 15);
});
