import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runMain } from './main.mjs';

test('a signal during the set-up ends it, also where nothing ran that it could stop', async () => {
  let started = false;
  const code = await runMain(async (_, { release }) => {
    process.emit('SIGINT', 'SIGINT');
    release();
    started = true;
    return 0;
  });
  assert.deepEqual({ code, started }, { code: 130, started: false });
});

test('signals are the work’s own once it has taken them over', async () => {
  const before = process.listenerCount('SIGINT');
  const code = await runMain(async (_, { release }) => {
    release();
    assert.equal(process.listenerCount('SIGINT'), before);
    return 7;
  });
  assert.equal(code, 7);
});
