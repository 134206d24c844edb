import { hash } from 'node:crypto';
import { limits } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { boundedArguments as boundedBy } from '../../src/engine/bounded-input.ts';

const boundedArguments = (args: Record<string, unknown>) => boundedBy(args, limits);

const nested = (depth: number): Record<string, unknown> => (depth === 0 ? {} : { a: nested(depth - 1) });
const nestedArrays = (depth: number): unknown => (depth === 0 ? 1 : [nestedArrays(depth - 1)]);
const keys = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]));

test.each<[string, Record<string, unknown>, RegExp]>([
  ['513 keys', keys(513), /^\/arguments: more than 512 keys$/],
  ['513 keys below', { a: [keys(513)] }, /^\/arguments\/a\/0: more than 512 keys$/],
  ['33 levels', nested(33), /: deeper than 32 levels$/],
  ['33 levels of arrays', { a: nestedArrays(40) }, /: deeper than 32 levels$/],
  ['a lone surrogate', { a: ['\uD800'] }, /^\/arguments\/a\/0: a lone surrogate is not allowed$/],
  ['a lone surrogate in a key', { a: { '\uDC00': 1 } }, /^\/arguments\/a: a key holds a lone surrogate$/],
  ['an infinite number', { a: Number.POSITIVE_INFINITY }, /^\/arguments\/a: not a finite number$/],
  ['no number', { a: Number.NaN }, /^\/arguments\/a: not a finite number$/],
  ['undefined', { a: undefined }, /^\/arguments\/a: not JSON$/],
  ['a function', { 'a/b': () => 1 }, /^\/arguments\/a~1b: not JSON$/],
  ['a bigint', { a: 1n }, /^\/arguments\/a: not JSON$/],
  ['__proto__', JSON.parse('{"__proto__": {"a": 1}}'), /^\/arguments: a key is not allowed$/],
])('names the field that the engine must not see: %s', (_, args, fault) => {
  expect(boundedArguments(args)).toEqual({ fault: expect.stringMatching(fault) });
});

test('hands on what is within the bounds as it is', () => {
  const args = { a: [1, 'x', null, true, { b: {} }], ...keys(500), deep: nested(30), exact: 'x'.repeat(2048) };
  expect(boundedArguments(args)).toEqual({ value: args });
});

test('tells of long strings and arrays how long they are and their digest', () => {
  const text = 'é'.repeat(2049);
  const list = Array.from({ length: 1025 }, (_, i) => i);
  expect(boundedArguments({ text, list })).toEqual({
    value: {
      text: { length: 2049, sha256: hash('sha256', text, 'hex') },
      list: { length: 1025, sha256: hash('sha256', JSON.stringify(list), 'hex') },
    },
  });
});
