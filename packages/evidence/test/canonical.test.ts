import canonicalize from 'canonicalize';
import { describe, expect, test } from 'vitest';
import { canonical, canonicalBytes } from '../src/index.ts';

const refusal = (message: string) => expect.objectContaining({ code: 'NOT_CANONICAL', message });
const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);

describe('canonical', () => {
  test('gives the text of RFC 8785, section 3.2.4', () => {
    const value: unknown = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],' +
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    );
    expect(canonical(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test('sorts members by UTF-16 code units, as in RFC 8785, section 3.2.3', () => {
    const value = { '€': 1, '\r': 2, '\ufb33': 3, '1': 4, '😀': 5, '\u0080': 6, ö: 7 };
    expect([...canonical(value).matchAll(/:(\d)/g)].map(([, n]) => n).join('')).toBe('2467153');
  });

  test('gives the same text whatever the order of members', () => {
    // "9" and "10" too: the runtime hands them out by number, RFC 8785 wants them as text.
    const orders = ['{"b":{"10":1,"9":2},"a":[{"d":1,"c":-0}]}', '{"a":[{"c":0,"d":1}],"b":{"9":2,"10":1}}'];
    expect(orders.map((json) => canonical(JSON.parse(json)))).toEqual(
      Array(2).fill('{"a":[{"c":0,"d":1}],"b":{"10":1,"9":2}}'),
    );
  });

  test('agrees with the serializer for values whose members are sorted and for values whose members are not', () => {
    let state = 1;
    const random = (below: number): number => {
      state = (state * 48271) % 2147483647;
      return state % below;
    };
    const scalar = (): unknown => [null, true, random(1e9) / 7, -random(99), 'é\u2028"\\\n', '', random(5)][random(7)];
    const value = (depth: number): unknown => {
      if (depth > 3 || random(4) === 0) return scalar();
      if (random(3) === 0) return Array.from({ length: random(4) }, () => value(depth + 1));
      const keys = Array.from(
        { length: random(5) },
        () => ['a', 'b', '10', '9', '__proto__', '😀', '\ufb33'][random(7)],
      );
      return JSON.parse(`{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(value(depth + 1))}`).join()}}`);
    };
    for (let i = 0; i < 3000; i++) {
      const made = value(0);
      const text = canonical(made);
      expect(text).toBe(canonicalize(made));
      expect(canonical(JSON.parse(text))).toBe(text);
      expect(canonicalBytes(made)).toBe(Buffer.byteLength(text));
    }
  });

  test('keeps a member named __proto__', () => {
    const text = '{"__proto__":{"admin":true},"a":1}';
    expect(canonical(JSON.parse(text))).toBe(text);
  });

  test.each([
    ['undefined', undefined, 'the value is undefined'],
    ['an undefined member', { a: { 'b/~': undefined } }, '/a/b~1~0 is undefined'],
    ['undefined in an array', { a: [1, undefined] }, '/a/1 is undefined'],
    ['a hole in an array', { a: new Array(1) }, '/a/0 is undefined'],
    ['a function', { toJSON: () => 1 }, '/toJSON is function'],
    ['a bigint', [1n], '/0 is bigint'],
    ['a symbol', [Symbol('s')], '/0 is symbol'],
    ['NaN', { n: Number.NaN }, '/n is not a finite number'],
    ['Infinity', Number.POSITIVE_INFINITY, 'the value is not a finite number'],
    ['a lone surrogate in a string', { s: 'a\ud800' }, '/s is a string with a lone surrogate'],
    ['a lone surrogate in a key', { o: { '\udc00': 1 } }, '/o is an object with a lone surrogate in a key'],
    ['a date', { at: new Date(0) }, '/at is not a plain object'],
    ['a map', { m: new Map() }, '/m is not a plain object'],
    ['bytes', { b: new Uint8Array(2) }, '/b is not a plain object'],
  ])('refuses %s, naming the place', (_, value, message) => {
    expect(() => canonical(value)).toThrow(refusal(message));
    expect(() => canonicalBytes(value)).toThrow(refusal(message));
  });

  test('refuses a cycle and nesting beyond 64', () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(canonical(nested(64))).toHaveLength(128);
    expect(() => canonical(nested(65))).toThrow(expect.objectContaining({ code: 'NOT_CANONICAL' }));
    expect(() => canonical(nested(100_000))).toThrow(expect.objectContaining({ code: 'NOT_CANONICAL' }));
    expect(() => canonical(cycle)).toThrow(expect.objectContaining({ code: 'NOT_CANONICAL' }));
  });
});
