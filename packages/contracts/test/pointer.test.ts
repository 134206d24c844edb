import { describe, expect, test } from 'vitest';
import { createPointerMatch, redactAt, tokensOf, toPointer } from '../src/pointer.ts';

test.each([[['a', 'b']], [['a/b', 'c~d', '']], [['~1', '/~']], [[]]])('%j survives being a pointer', (path) =>
  expect(tokensOf(toPointer(path))).toEqual(path),
);

describe('a pattern fits', () => {
  test.each<[string, string[], boolean]>([
    ['/a', ['a'], true],
    ['/a', ['a', 'b'], true],
    ['/a', ['b'], false],
    ['/a/b', ['a'], false],
    ['/*/b', ['7', 'b'], true],
    ['/a/*', ['a'], false],
    ['/a~1b', ['a/b'], true],
    ['', [], true],
    ['', ['a'], true],
  ])('%s at %j: %s', (pattern, path, wanted) => expect(createPointerMatch([pattern])(path)).toBe(wanted));
});

describe('redactAt', () => {
  test.each<[string, unknown, string[], unknown, string[]]>([
    ['a member', { a: 1, b: 2 }, ['/a'], { a: '[redacted]', b: 2 }, ['/a']],
    ['members of a list', [{ a: 1 }, { a: 2 }], ['/*/a'], [{ a: '[redacted]' }, { a: '[redacted]' }], ['/0/a', '/1/a']],
    ['a subtree once, though a pattern points below it', { a: { b: 1 } }, ['/a', '/a/b'], { a: '[redacted]' }, ['/a']],
    ['the whole', { a: 1 }, [''], '[redacted]', ['']],
    ['nothing that is absent', { a: 1 }, ['/b', '/a/b'], { a: 1 }, []],
    ['an escaped name', { 'a/b': 1 }, ['/a~1b'], { 'a/b': '[redacted]' }, ['/a~1b']],
  ])('takes out %s', (_, value, patterns, wanted, redacted) =>
    expect(redactAt(value, patterns)).toMatchObject({ value: wanted, redacted }),
  );
  test('leaves what it was given as it is', () => {
    const value = { a: { b: 1 } };
    redactAt(value, ['/a/b']);
    expect(value).toEqual({ a: { b: 1 } });
  });
  test('names at most 64 pointers and takes out all', () => {
    const { value, redacted } = redactAt(Array(100).fill('x'), ['/*']);
    expect(redacted).toHaveLength(64);
    expect(new Set(value)).toEqual(new Set(['[redacted]']));
  });
  test('keeps a key __proto__ a key', () => {
    const { value } = redactAt(JSON.parse('{"__proto__":{"a":1}}'), ['/__proto__/a']);
    expect(JSON.stringify(value)).toBe('{"__proto__":{"a":"[redacted]"}}');
  });
});

test('redacts rather than shows where a value has another shape than the pattern expects', () => {
  const iban = 'DE89370400440532013000';
  for (const customer of [[{ iban }], JSON.stringify({ iban }), [[{ iban }]]])
    expect(JSON.stringify(redactAt({ customer }, ['/customer/iban']).value)).not.toContain(iban);
  expect(redactAt({ customer: { name: 'x', iban } }, ['/customer/iban']).value).toEqual({
    customer: { name: 'x', iban: '[redacted]' },
  });
});
