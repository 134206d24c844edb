import type { Condition } from '@agentgate/contracts';
import { describe, expect, test } from 'vitest';
import { prepareWhere, valueAt } from '../../src/conditions/where.ts';

const judge = (condition: Condition, args: Record<string, unknown>) => prepareWhere({ '/a': condition })(args);
const state = (condition: Condition, value: unknown) => judge(condition, { a: value }).state;

test.each<[Condition, unknown, string]>([
  [{ equals: 'x' }, 'x', 'holds'],
  [{ equals: 'x' }, 'y', 'fails'],
  [{ equals: 'x' }, ['x'], 'unclear'],
  [{ equals: true }, true, 'holds'],
  [{ equals: true }, 'true', 'unclear'],
  [{ equals: true }, 1, 'unclear'],
  [{ equals: null }, null, 'holds'],
  [{ equals: 0 }, false, 'unclear'],
  [{ one_of: ['a', 1] }, 1, 'holds'],
  [{ one_of: ['a', 1] }, '1', 'fails'],
  [{ one_of: ['a', 1] }, null, 'unclear'],
  [{ min: 5 }, 5, 'holds'],
  [{ min: 5 }, 4.99, 'fails'],
  [{ min: 5 }, '5', 'unclear'],
  [{ min: 5 }, null, 'unclear'],
  [{ min: 5 }, [9], 'unclear'],
  [{ max: 100 }, 100, 'holds'],
  [{ max: 100 }, 101, 'fails'],
  [{ max: 100 }, null, 'unclear'],
  [{ max: 100 }, '1', 'unclear'],
  [{ min: 1, max: 3 }, 2, 'holds'],
  [{ min: 1, max: 3 }, 9, 'fails'],
  [{ max_length: 2 }, 'ab', 'holds'],
  [{ max_length: 2 }, '😀😀', 'holds'],
  [{ max_length: 2 }, 'abc', 'fails'],
  [{ max_length: 2 }, ['a', 'b'], 'unclear'],
  [{ each: { one_of: ['a', 'b'] } }, ['a', 'b'], 'holds'],
  [{ each: { one_of: ['a', 'b'] } }, [], 'holds'],
  [{ each: { one_of: ['a', 'b'] } }, ['a', 'c'], 'fails'],
  [{ each: { one_of: ['a', 'b'] } }, ['a', 5], 'unclear'],
  [{ each: { one_of: ['a', 'b'] } }, [5, 'c'], 'fails'],
  [{ each: { one_of: ['a', 'b'] } }, 'a', 'unclear'],
  [{ each: { one_of: ['a', 'b'] } }, { 0: 'a', length: 1 }, 'unclear'],
  [{ each: { equals: 1 } }, Array(1025).fill(1), 'unclear'],
  [{ each: { under: '/srv' } }, ['/srv/a', '/srv/../b'], 'unclear'],
  [{ matches: '[a-z]+', max_length: 3 }, 'abc', 'holds'],
  [{ matches: '[a-z]+', max_length: 3 }, 'abcd', 'fails'],
])('%j of %j: %s', (condition, value, wanted) => {
  expect(state(condition, value)).toBe(wanted);
});

describe('absent arguments', () => {
  test('a missing argument fails, unless it is optional', () => {
    expect(judge({ min: 1 }, {})).toEqual({ state: 'fails', pointer: '/a', condition: 'min', why: 'it is missing' });
    expect(judge({ min: 1, optional: true }, {})).toEqual({ state: 'holds' });
    expect(judge({ min: 1, optional: true }, { a: 0 }).state).toBe('fails');
    expect(judge({ min: 1, optional: true }, { a: null }).state).toBe('unclear');
  });
  test('what every object inherits is no argument', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
      expect(prepareWhere({ [`/${name}`]: { equals: 'x' } })({}).state).toBe('fails');
  });
});

test('a plain no goes before what cannot be judged, and the first of each is named', () => {
  const where = prepareWhere({ '/a': { min: 1 }, '/b': { min: 1 }, '/c': { min: 1 } });
  expect(where({ a: 'x', b: 0, c: 0 })).toMatchObject({ state: 'fails', pointer: '/b' });
  expect(where({ a: 'x', b: 'x', c: 1 })).toMatchObject({ state: 'unclear', pointer: '/a' });
  expect(where({ a: 1, b: 1, c: 1 })).toEqual({ state: 'holds' });
});

test('names the member of an array that broke the condition', () => {
  expect(judge({ each: { under: '/srv' } }, { a: ['/srv/a', '/etc'] })).toEqual({
    state: 'fails',
    pointer: '/a',
    condition: 'each',
    why: 'of member 1, "under": it is outside',
  });
});

test.each([
  [{ '': { equals: 1 } }, /names all arguments/],
  [{ '/a': { min: 3, max: 1 } }, /^\/a: min is above max/],
  [{ '/a': { each: { optional: true, min: 1 } } }, /^\/a: optional has no meaning inside each/],
  [{ '/a': { matches: '(' } }, /^\/a: the pattern is not RE2/],
])('refuses %j', (where, why) => {
  expect(() => prepareWhere(where)).toThrow(why);
});

test('reads JSON pointers as RFC 6901 says', () => {
  const root = { 'a/b': { 'm~n': [10, [20]] }, '': 1 };
  expect(valueAt(root, ['a/b', 'm~n', '0'])).toEqual({ value: 10 });
  expect(valueAt(root, ['a/b', 'm~n', '1', '0'])).toEqual({ value: 20 });
  expect(valueAt(root, [''])).toEqual({ value: 1 });
  for (const token of ['-', '2', '01', '1e0', ' 0', 'length'])
    expect(valueAt(root, ['a/b', 'm~n', token])).toBeUndefined();
  expect(valueAt('text', ['length'])).toBeUndefined();
});
