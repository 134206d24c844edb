import { randomFillSync } from 'node:crypto';
import { canonical } from './canonical.ts';
import { sha256Hex } from './hash.ts';

/**
 * Stands for content that must not lie in the log. The digest goes into the event, the salt beside it (Disclosure).
 * Once salt and content are erased, the digest says nothing of what it stood for, and no proof breaks.
 */
export interface SaltedDigest {
  /** 32 random bytes, base64url. */
  readonly salt: string;
  /** Lowercase hex. */
  readonly digest: string;
}

const SALT_BYTES = 32;
const DOMAIN = 'agentgate-salted-v1';
/** Asking the system for 32 bytes costs 10 µs: so many salts are asked for at once, each is given out once, and none is left behind in the pool. */
const POOLED_SALTS = 128;

function createSalts(): () => string {
  const pool = Buffer.alloc(SALT_BYTES * POOLED_SALTS);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const salt = pool.toString('base64url', used, used + SALT_BYTES);
    pool.fill(0, used, used + SALT_BYTES);
    used += SALT_BYTES;
    return salt;
  };
}

/** The salts of this process. The pool behind it is its only state; nothing happens before the first salt. */
const newSalt = createSalts();

/** SHA-256 over "agentgate-salted-v1\n" + salt + "\n" + the canonical value. Throws NOT_CANONICAL. */
export function saltedDigest(value: unknown, salt = newSalt()): SaltedDigest {
  return { salt, digest: sha256Hex(`${DOMAIN}\n${salt}\n${canonical(value)}`) };
}

/** Whether the digest stands for this value. */
export function matchesSaltedDigest(value: unknown, { salt, digest }: SaltedDigest): boolean {
  return saltedDigest(value, salt).digest === digest;
}

const SHA256_HEX = /^[0-9a-f]{64}$/;
const SALT = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/**
 * What is wrong with the form in which an event holds a digest, in words: the hex of a SHA-256, alone or as
 * `{ sha256, salt, bytes }`. The salt may be absent; where it is there, it is one that saltedDigest could have made.
 */
export function saltedDigestFault(value: unknown): string | undefined {
  if (typeof value === 'string') return SHA256_HEX.test(value) ? undefined : 'it is not 64 hex digits';
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return 'it is neither a digest nor an object';
  const { sha256, salt, bytes, ...rest } = value as Record<string, unknown>;
  if (Object.keys(rest).length > 0) return 'it holds something else than sha256, salt and bytes';
  if (typeof sha256 !== 'string' || !SHA256_HEX.test(sha256)) return 'its sha256 is not 64 hex digits';
  if (salt !== undefined && !(typeof salt === 'string' && SALT.test(salt)))
    return 'its salt is not 32 bytes in base64url';
  const isLength = bytes === undefined || (Number.isSafeInteger(bytes) && (bytes as number) >= 0);
  return isLength ? undefined : 'its bytes is not a length';
}
