import { expect, test } from 'vitest';
import { bearerIn } from '../src/bearer.ts';

test('takes a token with the blanks around it', () => {
  expect(bearerIn('eyJ0.eyJ1.s-i_g')).toBe('eyJ0.eyJ1.s-i_g');
  expect(bearerIn(' eyJ0.eyJ1.s-i_g\n')).toBe('eyJ0.eyJ1.s-i_g');
});

test.each([
  ['nothing', ''],
  ['the path of a token, which has three parts, too', 'acme.agent-demo.token'],
  ['two parts', 'eyJ0.eyJ1'],
  ['four parts', 'eyJ0.eyJ1.sig.more'],
  ['an empty part', 'eyJ0..sig'],
  ['base64 of the other kind', 'eyJ0.eyJ1.s+/='],
  ['a line break in it', 'eyJ0.eyJ1.\nsig'],
  ['a credentials file', '-----BEGIN NATS USER JWT-----\neyJ0.eyJ1.sig\n------END NATS USER JWT------\n'],
  ['more than 8 KiB', `eyJ0.eyJ1.${'s'.repeat(8183)}`],
])('takes %s for no token', (_, text) => {
  expect(bearerIn(text)).toBeUndefined();
});

test('takes one of 8 KiB', () => {
  expect(bearerIn(`eyJ0.eyJ1.${'s'.repeat(8182)}`)).toBeDefined();
});
