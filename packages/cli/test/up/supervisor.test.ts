import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { endLeftovers, livePids } from '../../src/up/pid-files.ts';
import { isAlive, processStamp } from '../../src/up/process-stamp.ts';
import { createSupervisor, type ProgramSpec, type Supervisor } from '../../src/up/supervisor.ts';

let home: string;
let lines: string[];
let ends: { how: string; againInMs: number }[];
let supervisor: Supervisor;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentgate-supervisor-'));
  mkdirSync(join(home, 'logs'));
  lines = [];
  ends = [];
  supervisor = createSupervisor({
    home,
    onLine: (name, line) => lines.push(`${name}: ${line}`),
    onEnd: (_, how, againInMs) => ends.push({ how, againInMs }),
    random: () => 1,
    firstDelayMs: 20,
  });
});
afterEach(async () => {
  await supervisor.stop(['p', 'q'], 0);
  rmSync(home, { recursive: true, force: true });
});

const node = (script: string, name = 'p'): ProgramSpec => ({
  name,
  command: process.execPath,
  args: ['-e', script],
  env: { PATH: process.env.PATH ?? '' },
  cwd: home,
});
const forever = 'setInterval(() => {}, 1000); console.log("up")';
const pidOf = (name = 'p') => supervisor.state(name)?.pid ?? 0;
const alive = (pid: number) => processStamp(pid) !== undefined;
const isUp = (name = 'p') => vi.waitFor(() => expect(lines).toContain(`${name}: up`), 5_000);

test('starts a program again with a growing delay, each time it ends', async () => {
  supervisor.start(node('process.exit(3)'));
  await vi.waitFor(() => expect(ends.length).toBeGreaterThanOrEqual(3), 10_000);
  expect(ends.slice(0, 3)).toEqual([
    { how: 'code 3', againInMs: 20 },
    { how: 'code 3', againInMs: 40 },
    { how: 'code 3', againInMs: 80 },
  ]);
});

test('starts a program again that was killed', async () => {
  supervisor.start(node(forever));
  await isUp();
  const first = pidOf();
  process.kill(first, 'SIGKILL');
  await vi.waitFor(() => expect([0, first]).not.toContain(pidOf()), 5_000);
  expect(ends).toEqual([{ how: 'SIGKILL', againInMs: 20 }]);
});

test('does not start a program again that it was asked to stop', async () => {
  supervisor.start(node(forever));
  await isUp();
  const pid = pidOf();
  await supervisor.stop(['p'], 5_000);
  expect(alive(pid)).toBe(false);
  expect(ends).toEqual([]);
  expect(supervisor.state('p')).toBeUndefined();
});

test('kills a program that does not heed SIGTERM, and what it started', async () => {
  supervisor.start(
    node(
      `const { spawn } = require('child_process'); process.on('SIGTERM', () => {}); const c = spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)']); console.log('child ' + c.pid); ${forever}`,
    ),
  );
  await isUp();
  const pid = pidOf();
  const child = Number(
    lines
      .find((l) => l.includes('child'))
      ?.split(' ')
      .at(-1),
  );
  await supervisor.stop(['p'], 100);
  expect(alive(pid)).toBe(false);
  await vi.waitFor(() => expect(alive(child)).toBe(false));
});

test('stops a program while it waits to be started again', async () => {
  supervisor.start(node('process.exit(1)'));
  await vi.waitFor(() => expect(ends.length).toBeGreaterThan(0), 5_000);
  await supervisor.stop(['p'], 1_000);
  const count = ends.length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(ends.length).toBe(count);
});

test('tries again until it can write down who runs, and lets nothing run before', async () => {
  writeFileSync(join(home, 'run'), 'in the way, as a full disk is');
  supervisor.start(node(forever));
  await vi.waitFor(() => expect(ends.length).toBeGreaterThanOrEqual(2), 10_000);
  expect(ends[0]?.how).toMatch(/^its process id cannot be written down: .*EEXIST/);
  rmSync(join(home, 'run'));
  await vi.waitFor(() => expect(livePids(home)).toMatchObject([{ name: 'p', pid: pidOf() }]), 10_000);
  await isUp();
});

test('says so, when a program cannot be found', async () => {
  supervisor.start({ ...node(''), command: join(home, 'nothing') });
  await vi.waitFor(() => expect(ends[0]?.how).toMatch(/ENOENT/), 5_000);
});

test('hands on each line and keeps it in the log, cut where it has no end', async () => {
  supervisor.start(
    node('console.log("a\\nb"); console.error("e"); console.log("x".repeat(200000)); setInterval(() => {}, 1000)'),
  );
  await vi.waitFor(() => expect(lines.length).toBe(4), 5_000);
  expect(lines).toEqual(expect.arrayContaining(['p: a', 'p: b', 'p: e']));
  expect(Math.max(...lines.map((l) => l.length))).toBeLessThan(70_000);
  expect(readFileSync(join(home, 'logs', 'p.log'), 'utf8')).toContain('a\nb\n');
});

test('gives a program no more of the environment than it was told to', async () => {
  supervisor.start(node('console.log(Object.keys(process.env).join()); setInterval(() => {}, 1000)'));
  await vi.waitFor(() => expect(lines).toEqual(['p: PATH']), 5_000);
});

test('ends what a killed supervisor left behind, and nothing that merely has its pid', async () => {
  supervisor.start(node(forever));
  supervisor.start(node(forever, 'q'));
  await isUp();
  await isUp('q');
  const pids = [pidOf('p'), pidOf('q')];
  expect(
    livePids(home)
      .map((p) => p.name)
      .sort(),
  ).toEqual(['p', 'q']);
  // A supervisor that is gone cannot start them again.
  const stopped = supervisor.stop(['q'], 5_000);
  await stopped;
  expect(livePids(home).map((p) => p.name)).toEqual(['p']);
  expect(isAlive({ pid: process.pid, stamp: 'of an earlier boot' })).toBe(false);
  expect(await endLeftovers(home, [])).toEqual(['p']);
  expect(pids.map(alive)).toEqual([false, false]);
  expect(existsSync(join(home, 'run', 'q.pid'))).toBe(false);
});
