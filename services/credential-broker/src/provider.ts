import { AgentGateError } from '@agentgate/contracts';

/** One lease to be filled. Times are milliseconds since the epoch. */
export interface MintOrder {
  lease: string;
  credential: string;
  scope: string | undefined;
  tenant: string;
  agent: string;
  issuedAt: number;
  expiresAt: number;
}

export interface Minted {
  /** The broker seals these bytes, then overwrites them. */
  secret: Uint8Array;
  /** What the provider needs to end it again; no secret. */
  handle?: string;
}

/** Where credentials come from. Both may fail with CREDENTIAL_UNAVAILABLE, naming the credential and never what was read. */
export interface Provider {
  readonly name: string;
  mint(order: MintOrder): Promise<Minted>;
  /** Ends at the provider what can be ended there; called again after a crash, so twice is as good as once. */
  revoke(lease: { lease: string; credential: string; handle: string | undefined }): Promise<void>;
}

/** What a credential of agentgate.yaml offers: who makes it, how long at most, and which scope at most. */
export interface Offer {
  provider: Provider;
  maxTtlMs: number;
  /** Space-separated words. `undefined`: the permit alone says. */
  scope: string | undefined;
  /** A provider that cannot narrow what it gives refuses a permit that asks for less. */
  scoped: boolean;
}

const wordsOf = (scope: string): string[] => scope.split(' ').filter((word) => word !== '');

/** The scope of a lease: what the permit asks, if the credential offers all of it. */
export const grantedScope = (credential: string, asked: string | undefined, offer: Offer): string | undefined => {
  if (asked === undefined) return offer.scope;
  if (!offer.scoped)
    throw new AgentGateError('CREDENTIAL_UNAVAILABLE', `credential ${credential} cannot be narrowed to a scope`);
  const offered = offer.scope === undefined ? undefined : wordsOf(offer.scope);
  if (offered && !wordsOf(asked).every((word) => offered.includes(word)))
    throw new AgentGateError(
      'CREDENTIAL_UNAVAILABLE',
      `credential ${credential} does not offer the scope that the permit asks`,
    );
  return asked;
};
