import { expect, test } from 'vitest';
import { makeLog } from './log-maker.ts';
import { verify } from './trust.ts';

test.each([0, 1, 6, 7, 255, 256, 257, 511, 512, 3000, 66_000])('finds a log of %i entries good', async (size) => {
  const log = makeLog(size, size);
  const verdict = await verify(log);
  expect(verdict.findings).toEqual([]);
  expect(verdict).toMatchObject({ ok: true, checkpoint: { size }, entries: { sealed: size } });
});
