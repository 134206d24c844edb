import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeEntries, tilePath } from '@agentgate/evidence';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { eventsOfFolder } from '../../src/policy/trial-events.ts';
import { keys, sealedEntries } from '../evidence/entries.ts';

const root = mkdtempSync(join(tmpdir(), 'agentgate-log-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'log-'));
});

const entries = sealedEntries(
  Array.from({ length: 300 }, (_, i) => ({ id: `evt_${String(i).padStart(10, '0')}`, data: { i } })),
);
const write = (index: number, texts: string[]) => {
  const file = join(folder, tilePath({ level: 'entries', index, width: texts.length }));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, encodeEntries(texts.map((text) => Buffer.from(text))));
};
const read = async () => {
  const seen: unknown[] = [];
  const { refused } = await eventsOfFolder(folder, keys, ({ data }) => seen.push((data as { i: number }).i));
  return { seen, refused };
};
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

test('reads every entry once and in order, whatever older partial tiles lie about', async () => {
  write(0, entries.slice(0, 100));
  write(0, entries.slice(0, 256));
  write(1, entries.slice(256, 270));
  write(1, entries.slice(256, 300));
  expect(await read()).toEqual({ seen: upTo(300), refused: 0 });
});

test('leaves out and counts an entry that was changed', async () => {
  const changed = entries[7]?.replace('"i":7', '"i":8') ?? '';
  write(0, [...entries.slice(0, 7), changed, ...entries.slice(8, 20)]);
  expect(await read()).toEqual({ seen: upTo(20).filter((i) => i !== 7), refused: 1 });
});

test('says so where there is no log', async () => {
  await expect(read()).rejects.toThrow('is no folder of a log: it has no tile/entries');
});
