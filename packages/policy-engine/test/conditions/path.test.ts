import { describe, expect, test } from 'vitest';
import { prepareUnder } from '../../src/conditions/path.ts';
import { UnsafeCondition } from '../../src/conditions/verdict.ts';

const under = prepareUnder('/srv/box');

describe('holds for the folder and what is below it', () => {
  test.each([
    '/srv/box',
    '/srv/box/',
    '/srv/box/a.txt',
    '/srv/box/a/b c/d',
    '/srv/box/.hidden',
    '/srv/box/a~',
    '/srv/box/100%',
    '/srv/box/é',
    '/srv/box/a:b',
    '/srv/box/...x',
  ])('%j', (path) => {
    expect(under(path)).toEqual({ state: 'holds' });
  });
});

describe('fails for a path that is plainly elsewhere', () => {
  test.each(['/etc/passwd', '/srv/boxer', '/srv/box2/a', '/srv', '/', '/SRV/BOX/a', '/srv/Box/a', '/srv/bo'])(
    '%j',
    (path) => {
      expect(under(path)).toEqual({ state: 'fails', why: 'it is outside' });
    },
  );
});

describe('is unclear for a path with more than one reading', () => {
  test.each([
    ['/srv/box/../../etc/passwd', 'it holds a ".." segment'],
    ['/srv/box/a/..', 'it holds a ".." segment'],
    ['/srv/box/./a', 'a segment ends in a dot or a space'],
    ['/srv/box/.', 'a segment ends in a dot or a space'],
    ['/srv/box/.../a', 'a segment ends in a dot or a space'],
    ['/srv/box/a.', 'a segment ends in a dot or a space'],
    ['/srv/box /a', 'a segment ends in a dot or a space'],
    ['/srv/box/.. /a', 'a segment ends in a dot or a space'],
    ['//srv/box/a', 'it holds an empty segment'],
    ['/srv/box//a', 'it holds an empty segment'],
    ['/srv/box\\..\\a', 'it holds a backslash'],
    ['/srv/box/a\0.txt', 'it holds a control character'],
    ['/srv/box/a\n', 'it holds a control character'],
    ['/srv/box/\u0085', 'it holds a control character'],
    ['/srv/box/%2e%2e/a', 'it holds a percent-escape'],
    ['/srv/box/%2E%2E%2Fa', 'it holds a percent-escape'],
    ['/srv/box/..%2fa', 'it holds a percent-escape'],
    ['/srv/box/%252e%252e/a', 'it holds a percent-escape'],
    ['/srv/box/%c0%ae', 'it holds a percent-escape'],
    ['/srv/box/%u002e', 'it holds a percent-escape'],
    ['/srv/box/%5c', 'it holds a percent-escape'],
    ['srv/box/a', 'it is not an absolute path'],
    ['./a', 'it is not an absolute path'],
    ['', 'it is not an absolute path'],
    ['~/a', 'it is not an absolute path'],
    [' /srv/box/a', 'it is not an absolute path'],
    ['file:///srv/box/a', 'it is not an absolute path'],
    ['C:\\srv\\box', 'it is not an absolute path'],
    ['/srv/box/~root/a', 'a segment begins with "~"'],
    ['/srv/box/\uFF0E\uFF0E/a', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/box/\u2025/a', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/box\uFF0Fa', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/box\u2215a', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/box\u2044a', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/box/\uFF3Ca', 'it holds a character that stands in for a dot or a separator'],
    ['/srv/bo\u200Bx/a', 'it holds an invisible character'],
    ['/srv/box/\u202Etxt', 'it holds an invisible character'],
    ['/srv/box/e\u0301', 'it is not in Unicode normal form C'],
    ['/srv/box/\uD800', 'it holds a lone surrogate'],
    [`/srv/box/${'a'.repeat(4096)}`, 'it is longer than 4096 characters'],
  ])('%j', (path, why) => {
    expect(under(path)).toEqual({ state: 'unclear', why });
  });
  test.each([[['/srv/box/a']], [5], [null], [true], [{ path: '/srv/box' }]])('%j', (value) => {
    expect(under(value)).toEqual({ state: 'unclear', why: 'it is not a string' });
  });
});

test('a prefix with a trailing slash is the same prefix, and the root is above all', () => {
  expect(prepareUnder('/srv/box/')('/srv/box')).toEqual({ state: 'holds' });
  expect(prepareUnder('/srv/box/')('/srv/boxer').state).toBe('fails');
  expect(prepareUnder('/')('/etc')).toEqual({ state: 'holds' });
  expect(prepareUnder('/')('/')).toEqual({ state: 'holds' });
  expect(prepareUnder('/')('/../etc').state).toBe('unclear');
});

test.each(['srv/box', '/srv/../box', '/srv//box', '/srv/box//', '~/box', '/srv/%2e', '/srv\\box', ''])(
  'refuses the prefix %j',
  (prefix) => {
    expect(() => prepareUnder(prefix)).toThrow(UnsafeCondition);
  },
);
