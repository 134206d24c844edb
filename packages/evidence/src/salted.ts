import { randomBytes } from 'node:crypto';
import { canonical } from './canonical.ts';
import { sha256Hex } from './hash.ts';

/**
 * Stands for content that must not lie in the log. The digest goes into the event; the salt stays with the content.
 * Once both are erased, the digest says nothing of what it stood for, and no proof breaks.
 */
export interface SaltedDigest {
  /** 32 random bytes, base64url. */
  readonly salt: string;
  /** Lowercase hex. */
  readonly digest: string;
}

const SALT_BYTES = 32;
const DOMAIN = 'agentgate-salted-v1';

/** SHA-256 over "agentgate-salted-v1\n" + salt + "\n" + the canonical value. Throws NOT_CANONICAL. */
export function saltedDigest(value: unknown, salt = randomBytes(SALT_BYTES).toString('base64url')): SaltedDigest {
  return { salt, digest: sha256Hex(`${DOMAIN}\n${salt}\n${canonical(value)}`) };
}

/** Whether the digest stands for this value. */
export function matchesSaltedDigest(value: unknown, { salt, digest }: SaltedDigest): boolean {
  return saltedDigest(value, salt).digest === digest;
}
