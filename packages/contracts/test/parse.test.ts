import { expect, test } from 'vitest';
import { callAsk, cancelAsk, parseField } from '../src/index.ts';

const refusal = (schema: Parameters<typeof parseField>[0], value: unknown): unknown => {
  try {
    return parseField(schema, value);
  } catch (error) {
    return (error as Error).message;
  }
};

test('names the field of the form that the value comes closest to, where there are several', () => {
  expect(refusal(cancelAsk, { v: 1, key: 5 })).toMatch(/^\/key: /);
  expect(refusal(cancelAsk, { v: 1, key: '' })).toMatch(/^\/key: /);
  expect(refusal(cancelAsk, { v: 1, call: 'x' })).toMatch(/^\/call: /);
  expect(refusal(cancelAsk, { v: 2, key: 'k' })).toMatch(/^\/v: /);
  expect(refusal(cancelAsk, { v: 1, key: 'k', x: 1 })).toBe('/x: unknown field');
});

test('names the unknown field rather than the one that is missing beside it', () => {
  const call = { v: 1, session: 'ses_0000000001', tool: 'a/b', arguments: {} };
  const { session, ...rest } = call;
  expect(refusal(callAsk, { ...rest, sesion: session })).toBe('/sesion: unknown field');
  expect(refusal(callAsk, rest)).toMatch(/^\/session: /);
});
