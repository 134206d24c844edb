import { listingDomain, permitDomain, permitLines } from '@agentgate/contracts';
import { canonical, type SigningKey, sealBatch } from '@agentgate/evidence';
import type { Permits } from '../ports.ts';

/** Permits under the service's key: one signature a batch, and each permit verifies alone. */
export const createPermits = (key: SigningKey): Permits => {
  const sealed = <C extends object>(domain: string, claims: C[]) => {
    const seals = sealBatch({ domain, lines: permitLines, leaves: claims.map(canonical), key });
    return claims.map((each, i) => {
      const seal = seals[i];
      if (!seal) throw new Error('a permit was not sealed');
      return { claims: each, seal };
    });
  };
  return {
    seal: (claims) => sealed(permitDomain, claims),
    sealListing: (claims) => {
      const [permit] = sealed(listingDomain, [claims]);
      if (!permit) throw new Error('a permit was not sealed');
      return permit;
    },
  };
};
