import { permitDomain, permitLines } from '@agentgate/contracts';
import { canonical, type SigningKey, sealBatch } from '@agentgate/evidence';
import type { Permits } from '../ports.ts';

/** Permits under the service's key: one signature a batch, and each permit verifies alone. */
export const createPermits = (key: SigningKey): Permits => ({
  seal: (claims) => {
    const seals = sealBatch({ domain: permitDomain, lines: permitLines, leaves: claims.map(canonical), key });
    return claims.map((each, i) => {
      const seal = seals[i];
      if (!seal) throw new Error('a permit was not sealed');
      return { claims: each, seal };
    });
  },
});
