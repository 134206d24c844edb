import type { Permissions } from '@agentgate/contracts';
import { type Account, encodeAccount, encodeOperator, encodeUser, fmtCreds, parseCreds, type User } from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromSeed, type KeyPair } from '@nats-io/nkeys';

// The only importer of @nats-io/jwt, which calls itself unsupported: minting is here, so that it can be replaced in one place.

export type AccountClaims = Partial<Account>;
const bytes = (text: string) => new TextEncoder().encode(text);
const seedOf = (key: KeyPair) => new TextDecoder().decode(key.getSeed());

export const newOperatorSeed = (): string => seedOf(createOperator());
export const newAccountSeed = (): string => seedOf(createAccount());
export const publicKeyOf = (seed: string): string => fromSeed(bytes(seed)).getPublicKey();

export const mintOperator = (seed: string, systemAccount: string): Promise<string> =>
  encodeOperator('agentgate', fromSeed(bytes(seed)), { system_account: systemAccount });

export const mintAccount = (opts: {
  name: string;
  seed: string;
  operatorSeed: string;
  claims: AccountClaims;
}): Promise<string> =>
  encodeAccount(opts.name, fromSeed(bytes(opts.seed)), opts.claims, { signer: fromSeed(bytes(opts.operatorSeed)) });

/** A user's permissions as NATS takes them. An empty allow list would allow everything there, so it becomes a denial of everything. */
const claimsOf = ({ pub, sub, answers }: Permissions): Partial<User> => ({
  pub: pub.length > 0 ? { allow: pub } : { deny: ['>'] },
  sub: sub.length > 0 ? { allow: sub } : { deny: ['>'] },
  ...(answers ? { resp: { max: answers.max, ttl: answers.ttlMs * 1_000_000 } } : {}),
});

export interface Minted {
  /** The text of a NATS credentials file. */
  creds: string;
  /** The user's public key. */
  user: string;
}

/** Mints a user with a key of its own, or again for the key in `creds`. `expiresInS` is for users that live as long as one task. */
export const mintUser = async (opts: {
  name: string;
  accountSeed: string;
  permissions: Permissions;
  creds?: string;
  expiresInS?: number;
}): Promise<Minted> => {
  const key = opts.creds === undefined ? createUser() : fromSeed(bytes((await parseCreds(bytes(opts.creds))).key));
  const exp = opts.expiresInS === undefined ? {} : { exp: Math.floor(Date.now() / 1000) + opts.expiresInS };
  const jwt = await encodeUser(opts.name, key, fromSeed(bytes(opts.accountSeed)), claimsOf(opts.permissions), exp);
  return { creds: new TextDecoder().decode(fmtCreds(jwt, key)), user: key.getPublicKey() };
};

/** The public key of a credentials file's user, if the file says exactly this; undefined where it must be minted again. */
export const userOfSame = async (
  creds: string,
  want: { name: string; accountSeed: string; permissions: Permissions },
): Promise<string | undefined> => {
  try {
    const { uc, aid } = await parseCreds(bytes(creds));
    const { pub, sub, resp } = uc.nats;
    const wanted = claimsOf(want.permissions);
    const same = JSON.stringify([pub, sub, resp]) === JSON.stringify([wanted.pub, wanted.sub, wanted.resp]);
    return same && uc.name === want.name && aid === publicKeyOf(want.accountSeed) ? uc.sub : undefined;
  } catch {
    return undefined;
  }
};

/** Whether a credentials file can be read at all: one that cannot is made anew. */
export const isCreds = async (creds: string): Promise<boolean> => {
  try {
    await parseCreds(bytes(creds));
    return true;
  } catch {
    return false;
  }
};

export const nameInCreds = async (creds: string): Promise<string> => (await parseCreds(bytes(creds))).uc.name;
