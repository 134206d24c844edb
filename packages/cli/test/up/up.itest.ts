import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stackStatus } from '@agentgate/contracts';
import { freePorts } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { livePids } from '../../src/up/pid-files.ts';

// The command as its users have it: a whole stack in a home of its own.

const bin = fileURLToPath(new URL('../../bin/agentgate.mjs', import.meta.url));
let dir: string;
let home: string;
let base: number;
let child: ChildProcess | undefined;
let output = '';

const statusFile = () => join(home, 'status.json');
const start = async () => {
  output = '';
  // A group of its own, as a terminal would give it: Ctrl-C below goes to all of it.
  const started = spawn(
    process.execPath,
    [bin, 'up', '--config', join(dir, 'agentgate.yaml'), '--home', home, '--port-base', String(base)],
    { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  child = started;
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (data) => {
      output += String(data);
    });
  await vi.waitFor(
    () => {
      if (started.exitCode !== null) throw new Error(`up ended with ${started.exitCode}: ${output}`);
      expect(existsSync(statusFile())).toBe(true);
    },
    { timeout: 60_000, interval: 100 },
  );
};
const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
  const running = child;
  if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return null;
  const exited = new Promise<number | null>((resolve) => running.once('exit', resolve));
  process.kill(-running.pid, signal);
  return exited;
};
const cli = (...args: string[]) =>
  spawnSync(process.execPath, [bin, '--home', home, ...args], {
    encoding: 'utf8',
    cwd: dir,
    env: { ...process.env, NO_COLOR: '1' },
    timeout: 30_000,
  });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-up-'));
  home = join(dir, 'home');
  base = 20_000 + ((await freePorts()).nats % 20_000);
  writeFileSync(join(dir, 'agentgate.yaml'), 'v: 1\ntenants: { default: { agents: { demo: {} } } }\n');
});
afterAll(async () => {
  await stop('SIGTERM');
  rmSync(dir, { recursive: true, force: true });
});

test('brings a stack up, says where it is, answers every command, and is gone at once after Ctrl-C', {
  timeout: 120_000,
}, async () => {
  await start();
  const status = stackStatus.parse(JSON.parse(readFileSync(statusFile(), 'utf8')));
  expect(status).toMatchObject({
    nats: `nats://127.0.0.1:${base}`,
    websocket: `ws://127.0.0.1:${base + 1}`,
    mcp: `http://127.0.0.1:${base + 4}/mcp`,
    creds: join(home, 'creds'),
  });

  const healthy = cli('status', '--json');
  expect(JSON.parse(healthy.stdout)).toMatchObject({ healthy: true });
  const session = cli('session', 'open').stdout.trim();
  expect(session).toMatch(/^ses_/);
  const call = cli('call', 'no/tool', 'a=1', '--session', session, '--json');
  expect([call.status, JSON.parse(call.stdout)]).toMatchObject([1, { status: 'denied', code: 'UNKNOWN_TOOL' }]);
  const receipt = cli('kill', 'session', session, '--reason', 'test', '--json');
  expect([receipt.status, JSON.parse(receipt.stdout)]).toMatchObject([0, { contained: true }]);
  expect(JSON.parse(cli('call', 'no/tool', '--session', session, '--json').stdout)).toMatchObject({
    status: 'killed',
    code: 'KILLED_SESSION',
  });
  expect(JSON.parse(cli('kills', '--json').stdout)).toMatchObject({ kills: [{ reason: 'test', by: 'operator' }] });

  expect(JSON.parse(cli('agent', 'add', 'extra', '--label', 'x', '--json').stdout)).toMatchObject({
    agent: 'extra',
    labels: ['x'],
  });
  await vi.waitFor(() => expect(cli('session', 'open', '--agent', 'extra').status).toBe(0), 5_000);
  expect(cli('agent', 'rm', 'extra').status).toBe(0);
  expect(cli('session', 'open', '--agent', 'extra').stderr).toMatch(/nobody is named agent-extra/);

  const second = cli('up', '--config', join(dir, 'agentgate.yaml'), '--port-base', String(base));
  expect([second.status, second.stderr]).toEqual([
    1,
    `agentgate: ${home} is in use by the agentgate up with pid ${status.pid}\n`,
  ]);

  const began = Date.now();
  expect(await stop('SIGINT')).toBe(0);
  expect(Date.now() - began).toBeLessThan(10_000);
  expect([existsSync(statusFile()), livePids(home)]).toEqual([false, []]);
});

test('finds the same keys, kills and agents again, and starts again what was killed', {
  timeout: 120_000,
}, async () => {
  const keys = readFileSync(join(home, 'keys', 'trust.json'), 'utf8');
  await start();
  expect(readFileSync(join(home, 'keys', 'trust.json'), 'utf8')).toBe(keys);
  // The removed agent's stands beside it for ten seconds.
  const { kills } = JSON.parse(cli('kills', '--json').stdout) as { kills: { scope: { id?: string } }[] };
  expect(kills.filter(({ scope }) => scope.id !== 'extra')).toMatchObject([{ reason: 'test' }]);
  expect(JSON.parse(cli('agent', 'list', '--json').stdout)).toEqual({
    agents: [{ tenant: 'default', agent: 'demo', labels: [], from: 'config' }],
  });

  const policy = livePids(home).find((p) => p.name === 'policy')?.pid ?? 0;
  process.kill(policy, 'SIGKILL');
  await vi.waitFor(
    () =>
      expect([cli('status', '--json').status, livePids(home).find((p) => p.name === 'policy')?.pid === policy]).toEqual(
        [0, false],
      ),
    { timeout: 20_000, interval: 200 },
  );
});

test('leaves nothing running and no status, when up itself is killed', { timeout: 60_000 }, async () => {
  await stop('SIGKILL');
  await vi.waitFor(() => expect(existsSync(statusFile())).toBe(false), 5_000);
  await vi.waitFor(() => expect(livePids(home)).toEqual([]), { timeout: 20_000, interval: 100 });
  expect(cli('status')).toMatchObject({
    status: 1,
    stderr: `agentgate: nothing runs in ${home}: start it with npm start\n`,
  });
});

test('says in one line what it cannot start with', () => {
  writeFileSync(join(dir, 'wrong.yaml'), 'v: 1\ntenants: {}\nserver: {}\n');
  expect(cli('up', '--config', join(dir, 'wrong.yaml'))).toMatchObject({
    status: 1,
    stderr: `agentgate: ${join(dir, 'wrong.yaml')}:3: server: unknown field\n`,
  });
  expect(cli('up', '--config', join(dir, 'none.yaml'))).toMatchObject({
    status: 1,
    stderr: `agentgate: ${join(dir, 'none.yaml')}: does not exist\n`,
  });
});

test.each([
  ['up', []],
  ['policy check', []],
  ['policy build', ['--bundle-version', '1', '--key', 'author.seed']],
  ['policy replay', ['--log', 'none']],
  ['policy explain', ['--tool', 'files/read', '--agent', 'demo']],
])('refuses a pattern that is not RE2 before anything starts: %s', (command, flags) => {
  const file = join(dir, 'pattern.yaml');
  writeFileSync(join(dir, 'author.seed'), randomBytes(32).toString('base64url'));
  writeFileSync(
    file,
    `v: 1
tenants: { default: { agents: { demo: {} } } }
grants:
  - id: read
    to: { agents: [demo] }
    tools: [files/read]
    effect: allow
    where:
      /path:
        matches: "(?=a)b"
`,
  );
  rmSync(join(dir, 'unborn'), { recursive: true, force: true });
  const { status, stdout, stderr } = cli(
    ...command.split(' '),
    ...flags,
    '--config',
    file,
    '--home',
    join(dir, 'unborn'),
  );
  expect({ status, stdout, stderr }).toEqual({
    status: 1,
    stdout: '',
    stderr: `agentgate: ${file}:10: grants/0/where/~1path/matches: the pattern is not RE2: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\`\n`,
  });
  expect(existsSync(join(dir, 'unborn'))).toBe(false);
});
