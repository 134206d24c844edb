import { AgentGateError, type LeaseRecord } from '@agentgate/contracts';

/** Who a lease is for and how far it goes: what a provider may look at when it makes or ends one. */
export interface LeaseOrder {
  /** `tenant/agent/session/call/provider/n` */
  lease: string;
  /** The permit that it was asked with: short, unique, and known before anything is made. */
  permit: string;
  credential: string;
  scope: string | undefined;
  tenant: string;
  agent: string;
  session: string;
  /** Whom the agent acts for, where its session names a person. */
  person: { id: string; token: string } | undefined;
  /** Milliseconds since the epoch. */
  issuedAt: number;
  expiresAt: number;
}

/** A lease that was given out, or may have been: its record, and what `mint` left to find it by. */
export interface LeaseAtProvider extends Omit<LeaseOrder, 'person'> {
  /** Kept encrypted between `mint` and the end. Absent where the broker died before it could write it down. */
  handle: string | undefined;
}

/** What goes to the runner. `secret` is what a format's `{secret}` stands for. */
export interface Parts {
  secret: string;
  [part: string]: string;
}

export interface Minted {
  parts: Parts;
  /** The parts whose bytes must come back in no result. */
  hidden: readonly string[];
  /** The private key (JWK, RFC 7517) that the runner signs proofs with, where the secret is a token that is bound to it (RFC 9449). */
  dpopKey?: Record<string, unknown>;
  /** What `revoke` and `probe` need and cannot work out again. May hold a secret: it is stored encrypted only. */
  handle?: string;
  /** Where the provider's own end comes before the one that was asked for. Milliseconds since the epoch. */
  expiresAt?: number;
}

export interface Probe {
  /** `unprovable`: this provider has no way to tell. */
  state: 'alive' | 'refused' | 'unprovable';
  /** What was tried and what came of it; no secret. At most 200 characters. */
  detail: string;
  /** With `unprovable`: until when whoever has the secret may go on using it. Milliseconds since the epoch; absent: for ever. */
  goodUntil?: number;
}

/**
 * Where one credential of agentgate.yaml comes from. Everything may fail with CREDENTIAL_UNAVAILABLE, naming the credential and never
 * what was read. A broker may die between any two steps, so `revoke` must end what `mint` began without its handle (names and passwords
 * are derived from the permit), and twice is as good as once.
 */
export interface Provider {
  readonly kind: LeaseRecord['provider'];
  mint(order: LeaseOrder): Promise<Minted>;
  /** Lets it live until `order.expiresAt`. The parts only where they changed. Absent: a new one has to be made. */
  renew?(order: LeaseOrder, handle: string | undefined): Promise<Minted | undefined>;
  revoke(lease: LeaseAtProvider): Promise<void>;
  /** Tries to use what should be dead, or looks whether it still lives. Rejects where the provider cannot be asked. */
  probe(lease: LeaseAtProvider): Promise<Probe>;
  /** The permits of the leases of this deployment that the provider has. `complete`: one that is not listed does not exist. */
  list?(): Promise<{ permits: string[]; complete: boolean }>;
  close(): Promise<void>;
}

/** What a credential of agentgate.yaml offers: who makes it, how long at most, and which scope at most. */
export interface Offer {
  provider: Provider;
  maxTtlMs: number;
  /** Space-separated words. `undefined`: the permit alone says. */
  scope: string | undefined;
  /** A provider that cannot narrow what it gives refuses a permit that asks for less. */
  scoped: boolean;
  /** A lease serves one call, or the calls of one session to one tool. */
  reuse: 'call' | 'session';
  /** What is made depends on the person that the agent acts for. */
  needsPerson: boolean;
  /** Leases of this credential that may be out at once. */
  maxLeases: number;
}

export const unavailable = (credential: string, what: string, cause?: unknown): AgentGateError =>
  new AgentGateError('CREDENTIAL_UNAVAILABLE', `credential ${credential} ${what}`, { cause });

const wordsOf = (scope: string): string[] => scope.split(' ').filter((word) => word !== '');

/** The scope of a lease: what the permit asks, if the credential offers all of it. */
export const grantedScope = (credential: string, asked: string | undefined, offer: Offer): string | undefined => {
  if (asked === undefined) return offer.scope;
  if (!offer.scoped) throw unavailable(credential, 'cannot be narrowed to a scope');
  const offered = offer.scope === undefined ? undefined : wordsOf(offer.scope);
  if (offered && !wordsOf(asked).every((word) => offered.includes(word)))
    throw unavailable(credential, 'does not offer the scope that the permit asks');
  return asked;
};

/** The rules of a template that a lease's scope covers; one without a scope of its own always counts. */
export const rulesOf = <R extends { scope?: string | undefined }>(
  rules: readonly R[],
  scope: string | undefined,
): R[] => {
  const words = scope === undefined ? undefined : wordsOf(scope);
  return rules.filter((rule) => rule.scope === undefined || words === undefined || words.includes(rule.scope));
};

const placeholder = /\{(tenant|agent|session|person)\}/g;
const safe = /^[A-Za-z0-9_-]{1,128}$/;

/** Puts who the lease is for into a template. Names that could mean more than themselves there are refused. */
export const filled = (
  template: string,
  order: Pick<LeaseOrder, 'credential' | 'tenant' | 'agent' | 'session' | 'person'>,
): string =>
  template.replace(placeholder, (_, what: 'tenant' | 'agent' | 'session' | 'person') => {
    const value = what === 'person' ? order.person?.id : order[what];
    if (value === undefined) throw unavailable(order.credential, 'needs a session that names a person');
    if (!safe.test(value))
      throw unavailable(
        order.credential,
        `cannot be made for this ${what}: its name has other characters than A-Z, a-z, 0-9, _ and -`,
      );
    return value;
  });
