import { agentTag, type Permissions } from '@agentgate/contracts';
import {
  type Account,
  decode,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  parseCreds,
  type User,
} from '@nats-io/jwt';
import { createAccount, createOperator, createUser, fromPublic, fromSeed, type KeyPair, Prefix } from '@nats-io/nkeys';
import { Codec } from '@nats-io/nkeys/lib/codec.js';
import { bearerClaimsIn } from './bearer.ts';

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
const claimsOf = ({ pub, neverPub, sub, answers }: Permissions): Partial<User> => ({
  pub: pub.length > 0 ? { allow: pub, ...(neverPub && { deny: neverPub }) } : { deny: ['>'] },
  sub: sub.length > 0 ? { allow: sub } : { deny: ['>'] },
  ...(answers ? { resp: { max: answers.max, ttl: answers.ttlMs * 1_000_000 } } : {}),
});

export interface Minted {
  /** The text of a NATS credentials file. */
  creds: string;
  /** The user's public key. */
  user: string;
}

export interface WantedUser {
  name: string;
  accountSeed: string;
  permissions: Permissions;
}

/** Mints a user with a key of its own, or again for the key in `creds`. `expiresInS` is for users that live as long as one task. */
export const mintUser = async (opts: WantedUser & { creds?: string; expiresInS?: number }): Promise<Minted> => {
  const key = opts.creds === undefined ? createUser() : fromSeed(bytes((await parseCreds(bytes(opts.creds))).key));
  const exp = opts.expiresInS === undefined ? {} : { exp: Math.floor(Date.now() / 1000) + opts.expiresInS };
  const jwt = await encodeUser(opts.name, key, fromSeed(bytes(opts.accountSeed)), claimsOf(opts.permissions), exp);
  return { creds: new TextDecoder().decode(fmtCreds(jwt, key)), user: key.getPublicKey() };
};

const mayTheSame = (
  { pub, sub, resp }: { pub?: unknown; sub?: unknown; resp?: unknown },
  permissions: Permissions,
): boolean => {
  const wanted = claimsOf(permissions);
  return JSON.stringify([pub, sub, resp]) === JSON.stringify([wanted.pub, wanted.sub, wanted.resp]);
};

/** The public key of a credentials file's user, if the file says exactly this; undefined where it must be minted again. */
export const userOfSame = async (creds: string, want: WantedUser): Promise<string | undefined> => {
  try {
    const { uc, aid } = await parseCreds(bytes(creds));
    const isSame = uc.name === want.name && aid === publicKeyOf(want.accountSeed);
    return isSame && mayTheSame(uc.nats, want.permissions) ? uc.sub : undefined;
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

// --- bearer tokens: a user's JWT with which NATS asks for no signature of the user's key -----------------------------

export interface WantedBearer extends WantedUser {
  /** The public key of a user that has credentials. */
  user: string;
}

/** Mints a bearer token for a user that has credentials, with the same rights: what revokes the user ends both. */
export const mintBearer = ({ name, accountSeed, permissions, user }: WantedBearer): Promise<string> => {
  const claims = { ...claimsOf(permissions), bearer_token: true, tags: [agentTag(name)] };
  return encodeUser(name, user, fromSeed(bytes(accountSeed)), claims);
};

/** Whether a token is one of this user that says exactly this. */
export const isBearerOf = (token: string, want: WantedBearer): boolean => {
  const claims = bearerClaimsIn(token, Date.now());
  return (
    claims?.sub === want.user &&
    claims.name === want.name &&
    claims.iss === publicKeyOf(want.accountSeed) &&
    mayTheSame(claims.nats, want.permissions) &&
    JSON.stringify(claims.nats.tags) === JSON.stringify([agentTag(want.name)])
  );
};

// --- users that live as long as a lease, in whatever account ---------------------------------------------------------

/** The seed of a user whose key follows from 32 bytes of the caller's. */
export const userSeedOf = (raw: Uint8Array): string => new TextDecoder().decode(Codec.encodeSeed(Prefix.User, raw));

/** A user of an account with a given key. `account` where the seed is one of the account's signing keys. */
export const mintUserWithSeed = async (opts: {
  name: string;
  seed: string;
  accountSeed: string;
  account: string;
  permissions: Permissions;
  /** Seconds since the epoch. */
  exp: number;
}): Promise<Minted & { jwt: string }> => {
  const key = fromSeed(bytes(opts.seed));
  const signer = fromSeed(bytes(opts.accountSeed));
  const isOwn = signer.getPublicKey() === opts.account;
  const jwt = await encodeUser(
    opts.name,
    key,
    isOwn ? signer : fromPublic(opts.account),
    claimsOf(opts.permissions),
    isOwn ? { exp: opts.exp } : { exp: opts.exp, signer },
  );
  return { creds: new TextDecoder().decode(fmtCreds(jwt, key)), user: key.getPublicKey(), jwt };
};

/** What stands in an account's tags of each user that we revoked, so that we take out again only what we put in. */
const tagOf = (mark: string, user: string, exp: number) => `${mark}:${user}:${exp}`.toLowerCase();

export interface Revocation {
  /** The user's public key. */
  user: string;
  /** When its last JWT expires at the latest, in seconds since the epoch: after that the entry may go. */
  exp: number;
}

/**
 * An account's JWT with these users revoked, and without those of `mark` whose time is over; everything else in it stays. An entry's
 * time is the end of the user's last JWT, so that none that was signed before, or is signed again, counts.
 */
export const revokeUsers = async (opts: {
  accountJwt: string;
  operatorSeed: string;
  mark: string;
  users: readonly Revocation[];
  /** Seconds since the epoch. */
  now: number;
}): Promise<string> => {
  const { name, sub, exp, iss, nats } = decode<Account>(opts.accountJwt);
  // Whoever hands us claims to sign must have had them from the same hand before.
  if (iss !== publicKeyOf(opts.operatorSeed)) throw new Error('the account was signed by another operator key');
  const tags = nats.tags ?? [];
  const before: Record<string, number> = { ...nats.revocations };
  const kept = tags.filter((tag) => {
    const [mark, user = '', until] = tag.split(':');
    if (mark !== opts.mark || Number(until) > opts.now) return true;
    delete before[user.toUpperCase()];
    return false;
  });
  const added = opts.users.map(({ user, exp }) => tagOf(opts.mark, user, exp)).filter((tag) => !kept.includes(tag));
  const revocations = { ...before, ...Object.fromEntries(opts.users.map(({ user, exp }) => [user, exp])) };
  return encodeAccount(
    name,
    fromPublic(sub),
    { ...nats, revocations, tags: [...kept, ...added] },
    { signer: fromSeed(bytes(opts.operatorSeed)), ...(exp !== undefined && { exp }) },
  );
};

/** The name in a user's JWT; undefined for what is none. */
export const nameInJwt = (jwt: string): string | undefined => {
  try {
    return decode<User>(jwt).name;
  } catch {
    return undefined;
  }
};

/** Whether an account's JWT revokes each of these users. */
export const isRevokedIn = (accountJwt: string, users: readonly Revocation[]): boolean => {
  const { revocations } = decode<Account>(accountJwt).nats;
  return users.every(({ user, exp }) => (revocations?.[user] ?? 0) >= exp);
};
