import { AgentGateError } from '@agentgate/contracts';
import { expiryOf, type HeldLease } from './lease.ts';
import type { Minted, MintOrder, Offer } from './provider.ts';

export interface Sealing {
  readonly publicKey: string;
  /** A box that only the holder of `recipient` opens; base64. */
  seal(secret: Uint8Array, recipient: string): string;
}

export const orderOf = ({ record }: HeldLease, now: number): MintOrder => ({
  lease: record.id,
  credential: record.credential,
  scope: record.scope,
  tenant: record.tenant,
  agent: record.agent,
  issuedAt: now,
  expiresAt: expiryOf(record),
});

export const mint = async ({ provider }: Offer, order: MintOrder, mintMs: number): Promise<Minted> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new AgentGateError(
            'CREDENTIAL_UNAVAILABLE',
            `credential ${order.credential} was not made within ${mintMs} ms`,
          ),
        ),
      mintMs,
    );
  });
  try {
    return await Promise.race([provider.mint(order), late]);
  } finally {
    clearTimeout(timer);
  }
};

export const sealAndWipe = (sealing: Sealing, { secret }: Minted, recipient: string): string => {
  try {
    return sealing.seal(secret, recipient);
  } finally {
    secret.fill(0);
  }
};
