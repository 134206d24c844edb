import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLogFile } from '../../src/up/log-file.ts';
import { createLines, entryOf } from '../../src/up/log-lines.ts';

const now = () => 0;

test.each([
  ['policy', '{"level":30,"time":"t","service":"policy","msg":"ready"}', { level: 30, msg: 'ready' }],
  ['nats-server', '[123] 2026/01/02 03:04:05.678901 [ERR] cannot listen', { level: 50, msg: 'cannot listen' }],
  ['nats-server', '[123] 2026/01/02 03:04:05.678901 [INF] Server is ready', { level: 30, msg: 'Server is ready' }],
  [
    'redis-server',
    '28367:M 02 Jan 2026 03:04:05.678 * Ready to accept connections',
    { level: 30, msg: 'Ready to accept connections' },
  ],
  ['redis-server', '28367:M 02 Jan 2026 03:04:05.678 # Fatal', { level: 40, msg: 'Fatal' }],
  ['redis-server', '28367:C 02 Jan 2026 03:04:05.678 # Configuration loaded', { level: 30 }],
  ['redis-server', '28367:C 02 Jan 2026 03:04:05.678 # Configuration loaded with errors', { level: 40 }],
  [
    'nats-server',
    '[123] 2026/01/02 03:04:05.678901 [WRN] Websocket not configured with TLS. DO NOT USE IN PRODUCTION!',
    { level: 30 },
  ],
  ['policy', 'Configuration loaded', { level: 40 }],
  ['policy', 'SyntaxError: x', { level: 40, msg: 'SyntaxError: x' }],
  ['policy', '"text"', { level: 40, msg: '"text"' }],
])('reads a line of %s: %s', (program, line, entry) => {
  expect(entryOf(program, line, now)).toMatchObject({ ...entry, service: program });
});

test('names the program in each JSON line, whatever the line says of itself', () => {
  const out: string[] = [];
  createLines({ format: 'json', color: false, servers: [], write: (text) => out.push(text) })(
    'policy',
    '{"level":30,"service":"audit","msg":"m"}',
  );
  expect(JSON.parse(out[0] ?? '')).toMatchObject({ service: 'policy', msg: 'm' });
});

test("shows services' news and only the warnings of servers", () => {
  const out: string[] = [];
  const show = createLines({
    format: 'pretty',
    color: false,
    servers: ['nats-server'],
    write: (text) => out.push(text),
  });
  show('nats-server', '[1] 2026/01/02 03:04:05.678901 [INF] hello');
  show('nats-server', '[1] 2026/01/02 03:04:05.678901 [WRN] careful');
  show('policy', '{"level":30,"time":"2026-01-02T03:04:05.000Z","msg":"ready"}');
  show('policy', '{"level":20,"time":"2026-01-02T03:04:05.000Z","msg":"detail"}');
  expect(out.join('')).toMatch(/WARN: nats-server: careful\n.*INFO: policy: ready\n$/);
  expect(out).toHaveLength(2);
});

test('keeps a log within twice its bound, and writes nothing after it was closed', () => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-log-'));
  try {
    const file = join(dir, 'p.log');
    const log = openLogFile(file, 100);
    for (let i = 0; i < 100; i++) log.write(`line ${i}`);
    log.close();
    log.write('late');
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(/line 99\n$/);
    expect(text.length).toBeLessThan(120);
    expect(readFileSync(`${file}.1`, 'utf8').length).toBeLessThan(120);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
