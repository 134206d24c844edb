import { describe, expect, test } from 'vitest';
import { parseStrict } from '../src/index.ts';

const parse = (text: string) => parseStrict(new TextEncoder().encode(text));

describe('parseStrict', () => {
  test('gives the object of a body in form', () => {
    expect(parse('{"a":[1,{"b":"\\"{}[],:"}],"c":{"b":null}}')).toEqual({ a: [1, { b: '"{}[],:' }], c: { b: null } });
  });

  test.each([
    ['a duplicate key', '{"v":1,"v":1}', 'FIELD_INVALID', '/v: duplicate key'],
    ['a duplicate key deep inside', '{"a":[{},{"x/y":1,"x/y":2}]}', 'FIELD_INVALID', '/a/1/x~1y: duplicate key'],
    ['a duplicate key in another spelling', '{"a":1,"\\u0061":2}', 'FIELD_INVALID', '/a: duplicate key'],
    ['__proto__', '{"a":{"__proto__":{"b":1}}}', 'FIELD_INVALID', '/a/__proto__: this key is not allowed'],
    ['NUL', '{"a":"x\\u0000"}', 'FIELD_INVALID', '/a: NUL is not allowed'],
    ['a lone surrogate', '{"a":"\\ud800"}', 'FIELD_INVALID', '/a: a lone surrogate is not allowed'],
    ['a number that no double holds', '{"a":{"b":1e999}}', 'FIELD_INVALID', '/a/b: this number is too large'],
    ['such a number in a list', '{"a":[1,[{"x/y":-1e999}]]}', 'FIELD_INVALID', '/a/1/0/x~1y: this number is too large'],
    [
      'a whole number that a double would round',
      '{"a":[1,{"id":9007199254740993}]}',
      'FIELD_INVALID',
      '/a/1/id: this whole number would be rounded: send it as text',
    ],
    [
      'one below zero',
      '{"a":[0,-123456789012345678]}',
      'FIELD_INVALID',
      '/a/1: this whole number would be rounded: send it as text',
    ],
    ['an array', '[1]', 'MALFORMED', 'body: not a JSON object'],
    ['text', 'hello', 'MALFORMED', 'body: not JSON'],
    ['nothing', '', 'MALFORMED', 'body: not JSON'],
    ['an open string', '{"a":"b', 'MALFORMED', 'body: not JSON'],
    ['a trailing comma', '{"a":1,}', 'MALFORMED', 'body: not JSON'],
  ])('refuses %s', (_, body, code, message) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ code, message }));
  });

  test('takes numbers that go on as they were written, and those that say themselves that they are not exact', () => {
    const text = '{"a":[9007199254740992,-9007199254740991,100000000000000000000,0,-5],"b":"9007199254740993"}';
    expect(JSON.stringify(parse(text))).toBe(text);
    expect(parse('{"a":0.1234567890123456789,"b":1e300,"c":12345678901234567890.5}')).toEqual({
      a: 0.12345678901234568,
      b: 1e300,
      c: 12345678901234567000,
    });
  });

  test('refuses a depth of 1,000 before anything is built', () => {
    expect(() => parse(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`)).toThrow(
      expect.objectContaining({ code: 'FIELD_INVALID' }),
    );
  });

  test('refuses more than 512 keys in one object', () => {
    expect(() =>
      parse(JSON.stringify({ a: Object.fromEntries(Array.from({ length: 513 }, (_, i) => [`k${i}`, i])) })),
    ).toThrow('/a: more than 512 keys');
  });

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseStrict(Uint8Array.from([0x7b, 0xff, 0x7d]))).toThrow('body: not UTF-8');
  });

  test('refuses a body above 256 KiB', () => {
    expect(() => parse(`{"a":"${'x'.repeat(256 * 1024)}"}`)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});
