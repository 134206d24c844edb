import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sha256 } from '@agentgate/evidence';
import { afterAll, expect, test } from 'vitest';
import { isDiskFull, openState } from '../src/state.ts';

const folder = mkdtempSync(join(tmpdir(), 'agentgate-witness-state-'));
afterAll(() => rmSync(folder, { recursive: true }));

const nothing = { size: 0, root: sha256('') };
const at = (size: number, what = '') => ({ size, root: sha256(`${size}${what}`), note: `note ${size}${what}` });
let files = 0;
const fresh = () => join(folder, `${files++}.db`);

test('remembers, after it was closed too', () => {
  const file = fresh();
  const state = openState(file, { make: true });
  expect(state.latest('a')).toBeUndefined();
  expect(state.advance('a', nothing, at(7))).toBe(true);
  expect(state.advance('a', at(7), at(9))).toBe(true);
  state.close();
  const again = openState(file);
  expect(again.sizes()).toEqual([{ origin: 'a', size: 9 }]);
  expect(Buffer.from(again.latest('a')?.root ?? [])).toEqual(at(9).root);
  again.close();
});

test.each([
  ['another size', at(6)],
  ['another root', at(7, ' forged')],
  ['nothing', nothing],
])('does not advance from %s', (_, from) => {
  const state = openState(fresh(), { make: true });
  state.advance('a', nothing, at(7));
  expect(state.advance('a', from, at(9))).toBe(false);
  expect(state.sizes()).toEqual([{ origin: 'a', size: 7 }]);
  state.close();
});

test('refuses through any SQL to go back, to stay, or to forget', () => {
  const file = fresh();
  const state = openState(file, { make: true });
  state.advance('a', nothing, at(7));
  expect(() => state.advance('a', at(7), at(6))).toThrow('a log that was cosigned can only grow');
  expect(() => state.advance('a', at(7), at(7, ' forged'))).toThrow('a log that was cosigned can only grow');
  state.close();
  const db = new DatabaseSync(file);
  expect(() => db.exec('DELETE FROM logs')).toThrow('a log that was cosigned stays');
  db.close();
});

test('is for one process at a time', () => {
  const file = fresh();
  const state = openState(file, { make: true });
  expect(() => openState(file)).toThrow(`${file} is in use: this witness runs already`);
  state.close();
  openState(file).close();
});

test('refuses a file of something else', () => {
  const file = fresh();
  new DatabaseSync(file).close();
  expect(() => openState(file)).toThrow('is not the memory of a witness of this version (wal 2 0)');
});

test('keeps the first forks of a log, each once', () => {
  const state = openState(fresh(), { make: true });
  for (let i = 0; i < 40; i++) state.keepFork('a', at(Math.floor(i / 2)));
  state.keepFork('b', at(1));
  const forks = state.forks();
  expect(forks.filter((f) => f.origin === 'a')).toHaveLength(16);
  expect(forks.filter((f) => f.origin === 'b')).toEqual([{ origin: 'b', size: 1, note: 'note 1' }]);
  state.close();
});

test('a full disk keeps nothing, and is told apart from a broken one', () => {
  const state = openState(fresh(), { make: true, maxPages: 12 });
  state.advance('a', nothing, at(7));
  const large = { ...at(9), note: 'x'.repeat(64 * 1024) };
  expect(() => state.advance('a', at(7), large)).toThrow(expect.toSatisfy(isDiskFull));
  expect(state.sizes()).toEqual([{ origin: 'a', size: 7 }]);
  expect(state.advance('a', at(7), at(8))).toBe(true);
  expect(isDiskFull(new Error('EIO'))).toBe(false);
  state.close();
});
