import { expect, test } from 'vitest';
import { createAdmission } from '../src/admission.ts';

const overloaded = { code: 'OVERLOADED' };

test('refuses the call beyond the bound and takes the next once one has ended', async () => {
  const { admit } = createAdmission(1);
  let end: () => void = () => {};
  const first = admit(1, () => new Promise<void>((resolve) => (end = resolve)));
  await expect(admit(1, async () => 'second')).rejects.toMatchObject(overloaded);
  end();
  await first;
  expect(await admit(1, async () => 'third')).toBe('third');
});

test('gives the place back when the work fails', async () => {
  const { admit } = createAdmission(1);
  await expect(
    admit(1, async () => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await admit(1, async () => 'next')).toBe('next');
});

test('bounds the bytes that are held', async () => {
  const { admit } = createAdmission(10_000);
  const stuck = Array.from({ length: 256 }, () => admit(256 * 1024, () => new Promise(() => {})));
  expect(stuck.length).toBe(256);
  await expect(admit(1, async () => 'one more')).rejects.toMatchObject(overloaded);
});
