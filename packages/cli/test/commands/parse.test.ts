import { expect, test } from 'vitest';
import { shownArguments, visible } from '../../src/commands/approvals.ts';
import { parseArguments, parseDuration } from '../../src/commands/call.ts';
import { taintAskOf } from '../../src/commands/clear-taint.ts';
import { scopeOf } from '../../src/commands/kill.ts';

test.each([
  [['{"a":1}'], { a: 1 }],
  [
    ['path=/srv/a.txt', 'n=3', 'deep={"x":[1]}', 'text=a=b', 'on=true'],
    { path: '/srv/a.txt', n: 3, deep: { x: [1] }, text: 'a=b', on: true },
  ],
  // A number that would be rounded is an identifier: as text it arrives as it was given.
  [['id=12345678901234567890', 'x=1,"y":2'], { id: '12345678901234567890', x: '1,"y":2' }],
  [[], {}],
])('reads the arguments %j', (words, args) => {
  expect(parseArguments(words)).toEqual(args);
});
test.each([[['{"a":']], [['word']], [['=x']]])('refuses the arguments %j', (words) => {
  expect(() => parseArguments(words)).toThrow(/arguments are/);
});
test('refuses arguments that the gate would refuse, and names the field', () => {
  expect(() => parseArguments(['{"a":{"b":1,"b":2}}'])).toThrow('arguments/a/b: duplicate key');
  expect(() => parseArguments(['{"id":12345678901234567890}'])).toThrow(/^arguments\/id: this whole number/);
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

test('makes a request to clear taint of what an operator named', () => {
  const flags = { session: 'ses_0123456789', label: [], reason: 'checked' };
  expect(taintAskOf(flags)).toEqual({ v: 1, session: 'ses_0123456789', reason: 'checked' });
  expect(taintAskOf({ agent: 'demo', tenant: 'acme', label: ['private-read'], reason: 'checked' })).toEqual({
    v: 1,
    agent: 'demo',
    tenant: 'acme',
    labels: ['private-read'],
    reason: 'checked',
  });
});
test.each([
  [{}, /names neither an agent nor a session/],
  [{ tenant: 'acme' }, /names neither an agent nor a session/],
  [{ session: 'x' }, /session/],
  [{ agent: '*' }, /agent/],
  [{ agent: 'demo', reason: '' }, /reason/],
])('refuses to clear taint of %o', (flags, why) => {
  expect(() => taintAskOf({ label: [], reason: 'checked', ...flags })).toThrow(why);
});

test('shows an operator what hides in a text', () => {
  expect(visible('a\u200bb\u202ec\u0007\n')).toBe('a\\u{200b}b\\u{202e}c\\u{7}\\n');
  expect(shownArguments({ 'k\u200b': 'x\u202ey' }).join('')).toContain('"k\\u{200b}": "x\\u{202e}y"');
});
