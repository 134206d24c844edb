import { expect, test } from 'vitest';
import { credentialOf, environmentOf, fieldOf, headersOf, metaOf } from '../src/credential.ts';

const parts = { secret: 'postgresql://u:pw@h:5432/d', user: 'u', password: 'pw', host: 'h' };
const credential = credentialOf({ v: 1, parts, hidden: ['secret', 'password', 'absent'] });

test('only what the configuration names of a credential goes anywhere', () => {
  expect(environmentOf({ env: { PGUSER: '{user}', PGPASSWORD: '{password}' } }, credential)).toEqual({
    PGUSER: 'u',
    PGPASSWORD: 'pw',
  });
  expect(environmentOf({ env: 'DATABASE_URL', format: '{secret}' }, credential)).toEqual({
    DATABASE_URL: 'postgresql://u:pw@h:5432/d',
  });
  expect(headersOf({ header: 'X-User', format: '{user}:{password}' }, credential)).toEqual({ 'X-User': 'u:pw' });
  expect(fieldOf({ field: 'token', format: 'Bearer {password}' }, credential)).toEqual({ token: 'Bearer pw' });
  expect(metaOf({ meta: 'io.test/token', format: '{secret}' }, credential)).toEqual({ 'io.test/token': parts.secret });
});

test.each([undefined, { header: 'Authorization', format: '{secret}' } as const])(
  'what is meant for one place goes into no other (%j)',
  (inject) => {
    expect([environmentOf(inject, credential), fieldOf(inject, credential), metaOf(inject, credential)]).toEqual([
      {},
      undefined,
      undefined,
    ]);
  },
);

test('a part that the secret does not have stops the call', () => {
  expect(() => headersOf({ header: 'X', format: '{token}' }, credential)).toThrow();
});

test('a secret that looks like a format is not taken for one', () => {
  const odd = credentialOf({ v: 1, parts: { secret: '{user}$&$1', user: 'u' }, hidden: ['secret'] });
  expect(headersOf({ header: 'X', format: '{secret}' }, odd)).toEqual({ X: '{user}$&$1' });
});

test('hides every part that is said to be secret, and no other', () => {
  expect(credential.hidden).toEqual([parts.secret, 'pw']);
});
