import { expect, test } from 'vitest';
import { createAdmission } from '../src/admission.ts';

const overloaded = expect.objectContaining({ code: 'OVERLOADED' });

test('refuses the call beyond the bound and takes the next once one has left', () => {
  const { admit, leave } = createAdmission(1);
  admit(1);
  expect(() => admit(1)).toThrow(overloaded);
  leave(1);
  admit(1);
  expect(() => admit(1)).toThrow(overloaded);
});

test('bounds the bytes that are held', () => {
  const { admit, leave } = createAdmission(10_000);
  for (let n = 0; n < 256; n++) admit(256 * 1024);
  expect(() => admit(1)).toThrow(overloaded);
  leave(256 * 1024);
  admit(256 * 1024);
});
