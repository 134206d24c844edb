import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { GroundError, privateFolder, writePrivate } from '../src/index.ts';
import { closeToOthers, readIfThere } from '../src/private-file.ts';

const folders: string[] = [];
const folder = () => {
  const made = mkdtempSync(join(tmpdir(), 'agentgate-private-'));
  folders.push(made);
  return made;
};
afterAll(() => {
  for (const made of folders) rmSync(made, { recursive: true });
});

test('only its owner can read what is written, and nothing else is left beside it', () => {
  const dir = folder();
  const file = join(dir, 'keys', 'a.seed');
  writePrivate(file, 'old\n');
  writePrivate(file, 'new\n');
  expect(readFileSync(file, 'utf8')).toBe('new\n');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(join(dir, 'keys')).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(dir, 'keys'))).toEqual(['a.seed']);
});

test('what cannot take its place is taken away again', () => {
  const dir = folder();
  mkdirSync(join(dir, 'a.seed', 'full'), { recursive: true });
  expect(() => writePrivate(join(dir, 'a.seed'), 'secret\n')).toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  expect(readdirSync(dir)).toEqual(['a.seed']);
});

test('a folder that cannot be made is named', () => {
  const file = join(folder(), 'a.seed');
  writePrivate(file, 'text\n');
  expect(() => privateFolder(join(file, 'keys'))).toThrow(GroundError);
  expect(() => privateFolder(join(file, 'keys'))).toThrow(join(file, 'keys'));
});

const refusal = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

test.each([
  ['written', (path: string) => writePrivate(path, 'text\n'), '/proc/agentgate.seed', 'ENOENT'],
  ['read', readIfThere, '/proc', 'EISDIR'],
  ['closed to others', closeToOthers, join(tmpdir(), 'agentgate-nowhere'), 'ENOENT'],
])('what cannot be %s is named, with what the system said', (done, work, path, why) => {
  const error = refusal(() => work(path));
  expect(error).toBeInstanceOf(GroundError);
  expect((error as Error).message).toMatch(new RegExp(`^${path}: cannot be ${done}: ${why}: `));
});

test('a folder in one that takes none is refused at once', () => {
  const source = new URL('../src/private-file.ts', import.meta.url).href;
  const script = `import { privateFolder } from '${source}';
    try { privateFolder('/proc/agentgate/run'); } catch (error) { console.log(error.name, error.message); }`;
  // In a process of its own: what turns in a circle inside a system call's wrapper hears no timer.
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 15_000,
    killSignal: 'SIGKILL',
  });
  expect({ stdout, signal }).toMatchObject({
    signal: null,
    stdout: expect.stringMatching(/^GroundError \/proc\/agentgate\/run: cannot be made: /),
  });
});

test('makes what is missing of a path, and takes what is there', () => {
  const deep = join(folder(), 'a', 'b', 'c');
  privateFolder(deep);
  privateFolder(deep);
  for (const each of [deep, join(deep, '..'), join(deep, '..', '..')]) expect(statSync(each).mode & 0o777).toBe(0o700);
});

test('a path that goes back out of a linked folder leads to where its files will be written', () => {
  const dir = folder();
  privateFolder(join(dir, 'there', 'deep'));
  symlinkSync(join('there', 'deep'), join(dir, 'link'));
  writePrivate(`${dir}/link/../new/a.seed`, 'text\n');
  expect(readFileSync(join(dir, 'there', 'new', 'a.seed'), 'utf8')).toBe('text\n');
  expect(readdirSync(dir).sort()).toEqual(['link', 'there']);
});
