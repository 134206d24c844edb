import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const cli = fileURLToPath(new URL('../../bin/agentgate.mjs', import.meta.url));

test('a reader that goes after the first lines, as head does, is no fault', async () => {
  const child = spawn(process.execPath, [cli, 'protocol'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => {
    told += chunk.toString('utf8');
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = await once(child, 'close');
  expect({ code, told }).toEqual({ code: 0, told: '' });
});
