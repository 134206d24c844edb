import { expect, test } from 'vitest';
import { makeLog } from './log-maker.ts';
import { verify } from './trust.ts';

// `npm run bench -- clean` does the same ten thousand times.

test('raises no alarm at a hundred good logs of random size', { timeout: 120_000 }, async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const { ok, findings } = await verify(makeLog(seed, (seed * 101) % 300), { maxAgeMs: 600_000 });
    expect({ seed, ok, findings }).toEqual({ seed, ok: true, findings: [] });
  }
});
