import { expect, test } from 'vitest';
import { createRecent } from '../src/index.ts';

const open = (most: number) => {
  const clock = { now: 0 };
  const recent = createRecent<{ at: number }>({ keptMs: 10, most, now: () => clock.now });
  const set = (key: string) => recent.set(key, { at: clock.now });
  return { clock, recent, set, keys: () => recent.entries().map(([key]) => key) };
};

test('tells of what was set within its time, and of nothing older', () => {
  const { clock, recent, set, keys } = open(100);
  set('a');
  clock.now = 8;
  set('b');
  clock.now = 10;
  expect(keys()).toEqual(['a', 'b']);
  clock.now = 11;
  set('c');
  expect(recent.get('a')).toBeUndefined();
  expect(recent.get('b')).toEqual({ at: 8 });
  expect(keys()).toEqual(['b', 'c']);
  clock.now = 18;
  expect(keys()).toEqual(['b', 'c']);
  clock.now = 22;
  expect(keys()).toEqual([]);
});

test('keeps the newest of more than it may hold, and never twice as many', () => {
  const { recent, set, keys } = open(4);
  for (let i = 0; i < 100; i++) {
    set(`k${i}`);
    const newest = Array.from({ length: Math.min(4, i + 1) }, (_, back) => recent.get(`k${i - back}`));
    expect(newest).not.toContain(undefined);
    expect(keys().length).toBeLessThanOrEqual(8);
  }
});

test('tells all that is within its time, however it came', () => {
  const { clock, recent, set, keys } = open(1_000);
  const came: [string, number][] = [];
  for (let i = 0; i < 500; i++) {
    clock.now += (i * 7) % 5 === 0 ? (i * 13) % 9 : 0;
    set(`k${i}`);
    came.push([`k${i}`, clock.now]);
    const wanted = came.filter(([, at]) => clock.now - at <= 10).map(([key]) => key);
    expect(keys()).toEqual(wanted);
    expect(recent.get(wanted[0] ?? '')).toBeDefined();
  }
});

test('tells the latest of what was set twice', () => {
  const { clock, recent, set } = open(1);
  set('a');
  clock.now = 5;
  set('b');
  set('a');
  expect(recent.get('a')).toEqual({ at: 5 });
  expect(recent.entries().filter(([key]) => key === 'a')).toEqual([['a', { at: 5 }]]);
});
