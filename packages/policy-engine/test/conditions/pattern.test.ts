import { expect, test } from 'vitest';
import { prepareMatches } from '../../src/conditions/pattern.ts';

test.each([
  ['[a-z]+', 'abc', 'holds'],
  ['[a-z]+', 'abc1', 'fails'],
  ['[a-z]+', '1abc', 'fails'],
  ['a|b', 'ab', 'fails'],
  ['a|b', 'b', 'holds'],
  ['abc', 'abc\n', 'fails'],
  ['(?m)^abc$', 'x\nabc\ny', 'fails'],
  ['a.c', 'a\nc', 'fails'],
  ['(?i)abc', 'ABC', 'holds'],
  ['[)(*+{]+', '(*', 'holds'],
  ['[]a]+', ']a', 'holds'],
  ['[[:alpha:]]+', 'ab', 'holds'],
  ['a\\+b', 'a+b', 'holds'],
  ['(ab)?c', 'c', 'holds'],
  ['a{2,10}', 'aaa', 'holds'],
  ['(ab|cd){3}', 'abcdab', 'holds'],
  ['', '', 'holds'],
])('%j against %j: %s', (pattern, text, state) => {
  expect(prepareMatches(pattern)(text).state).toBe(state);
});

test.each([
  ['a{11}', /may count to 10 at most/],
  ['a{1,120}', /may count to 10 at most/],
  ['a{11,}', /may count to 10 at most/],
  ['(a+)+', /a repeat of something that repeats/],
  ['(a*b)*', /a repeat of something that repeats/],
  ['((a{2})c){2}', /a repeat of something that repeats/],
  ['a**', /a repeat of something that repeats/],
  ['(?:x(a+)y)+', /a repeat of something that repeats/],
  ['(a+)?+', /a repeat of something that repeats/],
  ['(a)\\1', /not RE2/],
  ['(?=a)', /not RE2/],
  ['(?<=a)b', /not RE2/],
  ['[a', /not RE2/],
  ['a)', /never opened/],
  ['(a', /not RE2/],
  ['\\Qa+\\E+', /not supported/],
])('refuses %j', (pattern, why) => {
  expect(() => prepareMatches(pattern)).toThrow(why);
});

test('is unclear for what it should not read: other types, long texts', () => {
  const judge = prepareMatches('a*');
  for (const value of [5, null, ['a'], { a: 1 }])
    expect(judge(value)).toEqual({ state: 'unclear', why: 'it is not a string' });
  expect(judge('a'.repeat(4096)).state).toBe('holds');
  expect(judge('a'.repeat(4097))).toEqual({ state: 'unclear', why: 'it is longer than 4096 characters' });
});

test('stays fast where a backtracking engine would hang', () => {
  const judge = prepareMatches('(?:a|a|aa)*b');
  const begun = performance.now();
  expect(judge('a'.repeat(4000)).state).toBe('fails');
  expect(performance.now() - begun).toBeLessThan(1_000);
});
