import { expect, test } from 'vitest';
import { clientName, fullName, namesOf } from '../src/tool-names.ts';

test.each([
  ['filesystem/read_file', 'filesystem__read_file'],
  ['a-b/c.d', 'a-b__c_d'],
  ['a/b/c:d~', 'a__b_c_d_'],
])('calls %s %s', (tool, name) => expect(clientName(tool)).toBe(name));

test('finds what it listed, by the name that it gave and by the full one', () => {
  const names = namesOf(['filesystem/read_file', 'a/c.d']);
  expect(fullName(names, 'filesystem__read_file')).toEqual({ tool: 'filesystem/read_file' });
  expect(fullName(names, 'a__c_d')).toEqual({ tool: 'a/c.d' });
  expect(fullName(names, 'a/c.d')).toEqual({ tool: 'a/c.d' });
});

test('takes two tools of one name for neither', () => {
  const names = namesOf(['a/b__c', 'a__b/c', 'x/y.z', 'x/y_z']);
  expect(fullName(names, 'a__b__c')).toEqual({ problem: 'a__b__c may be a/b__c or a__b/c: call it by that name' });
  expect(fullName(names, 'x__y_z')).toEqual({ problem: 'x__y_z may be x/y.z or x/y_z: call it by that name' });
  expect(fullName(names, 'a__b/c')).toEqual({ tool: 'a__b/c' });
});

test('passes on what nobody listed, for the gate to refuse', () => {
  expect(fullName(new Map(), 'bank__transfer')).toEqual({ tool: 'bank/transfer' });
  expect(fullName(new Map(), 'bank/transfer')).toEqual({ tool: 'bank/transfer' });
});

test.each(['', 'transfer', '*', '__x', 'BANK__x', 'bank__', 'bank__a b', `bank__${'x'.repeat(200)}`, '__proto__'])(
  'knows that %j is no name of a tool',
  (called) => expect(fullName(new Map(), called)).toEqual({ problem: `${called} is no name of a tool` }),
);
