import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fillCompileCache } from '../../src/up/compile-cache.ts';

let root: string;
let source: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'agentgate-compile-cache-'));
  source = join(root, 'services', 'one', 'src', 'main.ts');
  mkdirSync(join(source, '..'), { recursive: true });
  writeFileSync(source, 'export const one: number = 1;');
  age(source);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const hourAgo = Date.now() / 1000 - 3_600;
const age = (file: string) => utimesSync(file, hourAgo, hourAgo);
const cache = () => join(root, '.agentgate', 'compile-cache');
const filled = () => join(cache(), `filled-${process.version}`);
const fill = (signal = new AbortController().signal) =>
  fillCompileCache({ root, node: process.execPath, nodeOptions: '', environment: process.env, signal });
/** How many files Node wrote there. */
const written = () =>
  readdirSync(cache(), { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(cache(), name)))
    .filter((found) => found.isFile() && found.size > 0).length;

test('holds what services would compile, once, until a source is newer', async () => {
  await fill();
  expect(written()).toBeGreaterThan(0);
  age(filled());
  utimesSync(source, hourAgo - 1, hourAgo - 1);
  await fill();
  expect(statSync(filled()).mtimeMs / 1000).toBeCloseTo(hourAgo, 0);
  utimesSync(source, hourAgo + 1, hourAgo + 1);
  await fill();
  expect(statSync(filled()).mtimeMs / 1000).toBeGreaterThan(hourAgo + 60);
});

test.each([
  ['throws', 'throw new Error("no environment")'],
  ['does not parse', 'export const one: = 1'],
])('a module that %s keeps nobody from starting', async (_, text) => {
  writeFileSync(source, text);
  await fill();
  expect(existsSync(filled())).toBe(true);
});

test('a source that cannot be looked at keeps nobody from starting', async () => {
  symlinkSync('loop.ts', join(source, '..', 'loop.ts'));
  await expect(fill()).resolves.toBeUndefined();
});

test('a stop ends it, and the next start does it', async () => {
  const stop = new AbortController();
  const filling = fill(stop.signal);
  stop.abort();
  await filling;
  expect(existsSync(filled())).toBe(false);
  await fill();
  expect(existsSync(filled())).toBe(true);
});
