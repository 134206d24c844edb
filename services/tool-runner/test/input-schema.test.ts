import { expect, test } from 'vitest';
import { createInputSchemas } from '../src/input-schema.ts';

const compileInputSchema = createInputSchemas();
const schema = {
  type: 'object',
  properties: { path: { type: 'string' }, n: { type: 'number' } },
  required: ['path'],
  additionalProperties: false,
};
const field = (message: string) => expect.objectContaining({ code: 'FIELD_INVALID', message });

test('passes arguments that the schema allows', () => {
  expect(() => compileInputSchema(schema)({ path: '/a', n: 1 })).not.toThrow();
});

test.each([
  ['a missing argument', {}, '/arguments/path: the tool needs it'],
  ['an unknown argument', { path: '/a', other: 1 }, '/arguments/other: the tool knows no such argument'],
  ['a wrong type', { path: '/a', n: '1' }, '/arguments/n: must be number'],
])('names the pointer of %s', (_, args, message) => {
  expect(() => compileInputSchema(schema)(args)).toThrow(field(message));
});

test('does not take an inherited property for an argument', () => {
  expect(() => compileInputSchema({ type: 'object', required: ['constructor'] })({})).toThrow(
    field('/arguments/constructor: the tool needs it'),
  );
});

test.each(['http://json-schema.org/draft-07/schema#', 'https://json-schema.org/draft/2020-12/schema'])(
  'takes a schema of %s',
  ($schema) => {
    expect(() => compileInputSchema({ ...schema, $schema })({ path: '/a' })).not.toThrow();
    expect(() => compileInputSchema({ ...schema, $schema })({ path: 1 })).toThrow(
      field('/arguments/path: must be string'),
    );
  },
);

test('reads tuples as the draft that the schema names', () => {
  const old = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    properties: { pair: { items: [{ type: 'string' }] } },
  };
  const recent = { properties: { pair: { prefixItems: [{ type: 'string' }] } } };
  for (const s of [old, recent])
    expect(() => compileInputSchema(s)({ pair: [1] })).toThrow(field('/arguments/pair/0: must be string'));
});

test('keeps two schemas of one $id apart', () => {
  const $id = 'https://example.com/args';
  const text = compileInputSchema({ $id, properties: { a: { type: 'string' } } });
  const number = compileInputSchema({ $id, properties: { a: { type: 'number' } } });
  expect(() => text({ a: 'x' })).not.toThrow();
  expect(() => number({ a: 'x' })).toThrow(field('/arguments/a: must be number'));
  expect(() => compileInputSchema({ properties: { a: { $ref: $id } } })).toThrow(
    expect.objectContaining({ code: 'UPSTREAM_UNAVAILABLE' }),
  );
});

test.each([
  ['refers to another document', { properties: { a: { $ref: 'https://example.com/a.json' } } }],
  ['is asynchronous, so that its answer would always be true', { $async: true, type: 'object', required: ['a'] }],
  ['is no schema', { type: 'nothing' }],
  ['has a pattern that is not linear', { properties: { a: { pattern: '(?=a)b' } } }],
  ['is too long', { description: 'x'.repeat(200_000) }],
])('refuses a schema that %s', (_, bad) => {
  expect(() => compileInputSchema(bad)({})).toThrow(
    expect.objectContaining({
      code: 'UPSTREAM_UNAVAILABLE',
      message: expect.stringMatching(/^the tool's input schema cannot be used: /),
    }),
  );
});

test('tells two patterns apart', () => {
  const check = compileInputSchema({ properties: { a: { pattern: '^a$' }, b: { pattern: '^b$' } } });
  expect(() => check({ a: 'a', b: 'b' })).not.toThrow();
  expect(() => check({ a: 'a', b: 'a' })).toThrow(field('/arguments/b: must match pattern "^b$"'));
});

test('is not hung by a pathological pattern', () => {
  const check = compileInputSchema({ properties: { a: { pattern: '^(a+)+$' } } });
  const began = performance.now();
  expect(() => check({ a: `${'a'.repeat(50_000)}b` })).toThrow(field('/arguments/a: must match pattern "^(a+)+$"'));
  expect(performance.now() - began).toBeLessThan(2_000);
});

test('is not hung by unique members, and finds equal ones', () => {
  const check = compileInputSchema({ properties: { a: { type: 'array', uniqueItems: true } } });
  const began = performance.now();
  expect(() => check({ a: Array.from({ length: 20_000 }, (_, i) => ({ i })) })).not.toThrow();
  expect(performance.now() - began).toBeLessThan(2_000);
  expect(() =>
    check({
      a: [
        { x: 1, y: 2 },
        { y: 2, x: 1 },
      ],
    }),
  ).toThrow(field('/arguments/a: must not hold one member twice'));
});
