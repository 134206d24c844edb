import { newId } from '@agentgate/runtime';
import type { LeaseAtProvider, LeaseOrder } from '../src/provider.ts';
import { createLeaseSecrets } from '../src/secrets.ts';

/** What a broker asks of a provider, for tests of one provider alone. */
export const orderOf = (change: Partial<LeaseOrder> = {}): LeaseOrder => {
  const permit = newId('prm');
  const now = Date.now();
  return {
    lease: `default/demo/ses_00000000000000000001/call_00000000000000000001/test/${permit}`,
    permit,
    credential: 'db',
    scope: undefined,
    tenant: 'default',
    agent: 'demo',
    session: 'ses_00000000000000000001',
    person: undefined,
    issuedAt: now,
    expiresAt: now + 60_000,
    ...change,
  };
};

export const leaseOf = ({ person: _, ...order }: LeaseOrder, handle?: string): LeaseAtProvider => ({
  ...order,
  handle,
});

export const testSecrets = (fill = 7) => createLeaseSecrets(new Uint8Array(32).fill(fill));

/** Waits until something holds; the last failure is told. */
export const eventually = async <T>(holds: () => Promise<T>, withinMs = 5_000): Promise<T> => {
  const until = Date.now() + withinMs;
  for (;;) {
    try {
      return await holds();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
};
