import { expect, test } from 'vitest';
import { parseArguments, parseDuration } from '../../src/commands/call.ts';
import { scopeOf } from '../../src/commands/kill.ts';

test.each([
  [['{"a":1}'], { a: 1 }],
  [
    ['path=/srv/a.txt', 'n=3', 'deep={"x":[1]}', 'text=a=b', 'on=true'],
    { path: '/srv/a.txt', n: 3, deep: { x: [1] }, text: 'a=b', on: true },
  ],
  [[], {}],
])('reads the arguments %j', (words, args) => {
  expect(parseArguments(words)).toEqual(args);
});
test.each([[['{"a":']], [['word']], [['=x']]])('refuses the arguments %j', (words) => {
  expect(() => parseArguments(words)).toThrow(/arguments are/);
});

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['10m', 600_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['10', undefined],
  ['1.5h', undefined],
  ['', undefined],
])('reads the duration %j as %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test('makes a scope of what an operator named', () => {
  expect(scopeOf('agent', 'demo', 'acme')).toEqual({ kind: 'agent', id: 'demo', tenant: 'acme' });
  expect(scopeOf('global', undefined, undefined)).toEqual({ kind: 'global' });
});
test.each([
  ['everything', undefined],
  ['session', undefined],
  ['session', 'x'],
  ['tool', 'no-server'],
  ['agent', '*'],
  ['global', 'x'],
])('refuses the scope %s %s', (kind, id) => {
  expect(() => scopeOf(kind, id, undefined)).toThrow(/a scope is session, agent, tool, tenant or global/);
});
