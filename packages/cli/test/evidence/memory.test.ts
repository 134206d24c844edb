import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSigningKey, leafHash, signCheckpoint } from '@agentgate/evidence';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openMemory } from '../../src/evidence/memory.ts';

const key = generateSigningKey();
const noteOf = (origin: string, size: number) => signCheckpoint({ origin, size, root: leafHash('') }, key);
let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-memory-'));
  file = join(dir, 'seen.json');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('remembers each log by its origin, for its owner alone, and leaves nothing else behind', () => {
  openMemory(file).remember('log.example/a', noteOf('log.example/a', 3));
  openMemory(file).remember('log.example/b', noteOf('log.example/b', 4));
  expect(openMemory(file).recall('log.example/a')).toBe(noteOf('log.example/a', 3));
  expect(openMemory(file).recall('log.example/b')).toBe(noteOf('log.example/b', 4));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['seen.json']);
});

test('knows nothing before, and nothing of names that every object has', () => {
  expect(openMemory(file).recall('log.example/a')).toBeUndefined();
  expect(openMemory(file).recall('constructor')).toBeUndefined();
});

test('keeps the longer log where another verifier was further', () => {
  const [slow, quick] = [openMemory(file), openMemory(file)];
  quick.remember('log.example/a', noteOf('log.example/a', 9));
  slow.remember('log.example/a', noteOf('log.example/a', 3));
  expect(openMemory(file).recall('log.example/a')).toBe(noteOf('log.example/a', 9));
});

test.each(['', '{', '{"v":2,"checkpoints":{}}', '{"v":1,"checkpoints":{},"more":1}'])(
  'refuses a file that holds %j instead of forgetting what it knew',
  (text) => {
    writeFileSync(file, text);
    expect(() => openMemory(file).recall('log.example/a')).toThrow(`${file} does not hold what a verifier remembers`);
    expect(() => openMemory(file).remember('log.example/a', noteOf('log.example/a', 3))).toThrow('does not hold');
    expect(readFileSync(file, 'utf8')).toBe(text);
  },
);

test('says where it cannot write', () => {
  const memory = openMemory(join(dir, 'no-folder', 'seen.json'));
  expect(() => memory.remember('log.example/a', noteOf('log.example/a', 3))).toThrow(
    /seen\.json cannot be written: ENOENT/,
  );
});
