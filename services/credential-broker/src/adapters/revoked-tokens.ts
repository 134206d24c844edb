import type { LeaseRecord } from '@agentgate/contracts';
import { expiryOf } from '../lease.ts';
import type { LeaseIndex } from '../lease-index.ts';

/** Tokens that ended before their `exp`: the `jti` of each, and until when it must be remembered, in seconds since the epoch. */
export interface RevokedTokens {
  document(): { revoked: { jti: string; exp: number }[] };
}

/** Every replica hears of every lease that ended, and all answer alike; a lease that is being ended counts already. */
export const createRevokedTokens = (index: LeaseIndex, now: () => number): RevokedTokens => {
  const ended = new Map<string, number>();
  const forget = () => {
    const at = now();
    for (const [jti, exp] of ended) if (exp <= at) ended.delete(jti);
  };
  index.onEnded((record) => {
    if (isToken(record) && expiryOf(record) > now()) ended.set(record.id, expiryOf(record));
  });
  return {
    document: () => {
      forget();
      for (const { record } of index.all())
        if (isToken(record) && record.state !== 'active' && record.state !== 'intended')
          ended.set(record.id, expiryOf(record));
      return { revoked: [...ended].map(([jti, exp]) => ({ jti, exp: Math.ceil(exp / 1_000) })) };
    },
  };
};

const isToken = ({ provider }: LeaseRecord) => provider === 'jwt';
