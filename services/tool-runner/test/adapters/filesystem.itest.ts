import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createStdioUpstream } from '../../src/adapters/mcp-stdio.ts';
import { callOnce, startStdio, textOf } from '../fixtures/servers.ts';

const program = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-filesystem/package.json')),
  'dist/index.js',
);

test('works with the reference filesystem server', async () => {
  const bench = await startStdio();
  const box = join(bench.dir, 'box');
  mkdirSync(box);
  writeFileSync(join(box, 'a.txt'), 'content of a');
  const upstream = createStdioUpstream({
    server: 'filesystem',
    stdio: { command: process.execPath, args: [program, box], env: {} },
    inject: undefined,
    path: process.env.PATH ?? '',
    homes: bench.dir,
    children: bench.children,
    now: Date.now,
    log: bench.said.log,
  });
  try {
    const names: string[] = [];
    upstream.onTools((tools) => names.push(...tools.map((t) => t.name)));
    await upstream.start();
    expect(names).toEqual(expect.arrayContaining(['read_text_file', 'write_file', 'list_directory']));
    expect(textOf(await callOnce(upstream, 'read_text_file', { path: join(box, 'a.txt') }))).toBe('content of a');
    expect(await callOnce(upstream, 'read_text_file', { path: '/etc/hostname' })).toMatchObject({
      kind: 'result',
      result: { isError: true },
    });
  } finally {
    await upstream.close();
    await bench.stop();
  }
});
