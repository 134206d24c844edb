import { expect, test } from 'vitest';
import { z } from 'zod';
import { callAsk, cancelAsk, parseField } from '../src/index.ts';

const refusal = (schema: Parameters<typeof parseField>[0], value: unknown): unknown => {
  try {
    return parseField(schema, value);
  } catch (error) {
    return (error as Error).message;
  }
};

test('names the field of the form that the value comes closest to, where there are several', () => {
  const v = z.literal(1);
  const either = z.union([
    z.strictObject({ v, call: z.string().min(5) }),
    z.strictObject({ v, key: z.string().min(1) }),
  ]);
  expect(refusal(either, { v: 1, key: 5 })).toMatch(/^\/key: /);
  expect(refusal(either, { v: 1, key: '' })).toMatch(/^\/key: /);
  expect(refusal(either, { v: 1, call: 'x' })).toMatch(/^\/call: /);
  expect(refusal(either, { v: 2, key: 'k' })).toMatch(/^\/v: /);
  expect(refusal(either, { v: 1, key: 'k', x: 1 })).toBe('/x: unknown field');
});

const call = 'call_0000000001';
const oneOfTwo = '/: needs exactly one of call and key';
test.each<[string, object, string | RegExp]>([
  ['both', { v: 1, call, key: 'k' }, oneOfTwo],
  ['neither', { v: 1 }, oneOfTwo],
  ['a field that is none beside both', { v: 1, call, key: 'k', x: 1 }, '/x: unknown field'],
  ['a call that is none', { v: 1, call: 'x' }, /^\/call: must be call_/],
  ['an empty key', { v: 1, key: '' }, /^\/key: /],
  ['a key that is no text', { v: 1, key: 5 }, /^\/key: /],
  ['another version', { v: 2, key: 'k' }, /^\/v: /],
])('refuses a cancel with %s', (_, ask, why) => {
  expect(refusal(cancelAsk, ask)).toMatch(why);
});
test('takes a cancel that names its call by one of the two', () => {
  for (const ask of [
    { v: 1, call },
    { v: 1, key: 'k' },
  ])
    expect(parseField(cancelAsk, ask)).toEqual(ask);
});

test('names the unknown field rather than the one that is missing beside it', () => {
  const call = { v: 1, session: 'ses_0000000001', tool: 'a/b', arguments: {} };
  const { session, ...rest } = call;
  expect(refusal(callAsk, { ...rest, sesion: session })).toBe('/sesion: unknown field');
  expect(refusal(callAsk, rest)).toMatch(/^\/session: /);
});
