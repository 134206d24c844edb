import type { LeasedSecret } from '@agentgate/contracts';
import type { Minted } from './provider.ts';
import { within } from './within.ts';

export interface Sealing {
  readonly publicKey: string;
  /** A box that only the holder of `recipient` opens; base64. */
  seal(secret: Uint8Array, recipient: string): string;
}

export const mintedWithin = (minting: Promise<Minted>, credential: string, ms: number): Promise<Minted> =>
  within(ms, minting, `credential ${credential} was not made`);

/** The buffer that held the secret's text is overwritten; the texts themselves are the garbage collector's. */
export const sealParts = (sealing: Sealing, { parts, hidden, dpopKey }: Minted, recipient: string): string => {
  const secret: LeasedSecret = { v: 1, parts, hidden: [...hidden], ...(dpopKey && { dpop_key: dpopKey }) };
  const bytes = Buffer.from(JSON.stringify(secret), 'utf8');
  try {
    return sealing.seal(bytes, recipient);
  } finally {
    bytes.fill(0);
  }
};
