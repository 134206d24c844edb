import { expect, test } from 'vitest';
import { attacks, trial } from './tamper.ts';
import { verify } from './trust.ts';

const trials = 100;

test.each(attacks.map((attack) => [attack.name, attack.means, attack] as const))(
  `catches each of ${trials} logs to which somebody did: %s, with %s`,
  { timeout: 120_000 },
  async (_, __, attack) => {
    for (let seed = 1; seed <= trials; seed++) {
      const { log, tampered } = trial(attack, seed);
      const { ok } = await verify(log, { files: tampered.files, maxAgeMs: 600_000 });
      expect({ seed, ok }).toEqual({ seed, ok: false });
    }
  },
);
