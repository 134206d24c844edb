import { expect, test } from 'vitest';
import { matchesSaltedDigest, saltedDigest, sha256Hex } from '../src/index.ts';

test('a salted digest is what its documentation says', () => {
  expect(saltedDigest({ b: 1, a: 'x' }, 'salt')).toEqual({
    salt: 'salt',
    digest: sha256Hex('agentgate-salted-v1\nsalt\n{"a":"x","b":1}'),
  });
});

test('a salted digest matches its own value only, and differs for the same value each time', () => {
  const salted = saltedDigest({ path: '/a' });
  expect(Buffer.from(salted.salt, 'base64url')).toHaveLength(32);
  expect(matchesSaltedDigest({ path: '/a' }, salted)).toBe(true);
  expect(matchesSaltedDigest({ path: '/b' }, salted)).toBe(false);
  expect(saltedDigest({ path: '/a' }).digest).not.toBe(salted.digest);
});

test('every salt is a new one', () => {
  const salts = Array.from({ length: 1_000 }, () => saltedDigest(1).salt);
  expect(new Set(salts).size).toBe(salts.length);
  expect(salts.every((salt) => Buffer.from(salt, 'base64url').length === 32 && !/^A{8}/.test(salt))).toBe(true);
});
