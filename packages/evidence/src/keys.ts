import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { EvidenceError } from './error.ts';
import { sha256Hex } from './hash.ts';

/** An Ed25519 key that signs. Whoever holds it is a producer, an issuer or a log. */
export interface SigningKey {
  /** The first 16 hex digits of SHA-256 of the raw public key. */
  readonly keyid: string;
  /** The raw 32 bytes, base64url. */
  readonly publicKey: string;
  /** The secret, base64url; not enumerable, so that neither a log line nor JSON shows it. */
  readonly seed: string;
  sign(bytes: Uint8Array): Uint8Array;
}

export interface VerifyingKey {
  readonly keyid: string;
  readonly publicKey: string;
  verify(bytes: Uint8Array, signature: Uint8Array): boolean;
}

/**
 * The keys that a verifier trusts. A key speaks for one signer only (the event's source, the permit's issuer):
 * asking with both keeps one service's key from vouching for another's words.
 */
export interface KeyRing {
  find(keyid: string, signer: string): VerifyingKey | undefined;
}

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const RAW_32_BASE64URL = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
/** The DER of a PKCS #8 Ed25519 key up to its 32-byte seed (RFC 8410, section 7). */
const PKCS8_PREFIX = '302e020100300506032b657004220420';

export function generateSigningKey(): SigningKey {
  return signingKeyFromSeed(randomBytes(32).toString('base64url'));
}

/** Throws BAD_KEY unless the seed is 32 bytes in canonical base64url. The message never repeats the seed. */
export function signingKeyFromSeed(seed: string): SigningKey {
  const der = Buffer.concat([Buffer.from(PKCS8_PREFIX, 'hex'), rawKey(seed, 'seed')]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey).export({ format: 'jwk' }).x as string;
  const key = {
    keyid: keyidOf(publicKey),
    publicKey,
    sign: (bytes: Uint8Array): Uint8Array => sign(null, bytes, privateKey),
  };
  return Object.defineProperty(key, 'seed', { value: seed, enumerable: false }) as SigningKey;
}

/** Throws BAD_KEY unless the key is 32 bytes in canonical base64url. */
export function verifyingKey(publicKey: string): VerifyingKey {
  rawKey(publicKey, 'public key');
  const key = importPublicKey(publicKey);
  return {
    keyid: keyidOf(publicKey),
    publicKey,
    verify: (bytes, signature) => signature.length === SIGNATURE_BYTES && verify(null, bytes, key, signature),
  };
}

/**
 * A fixed ring. A signer that ends in "/" stands for every signer below it: "agentgate/ingress/" for each instance of
 * ingress. Throws BAD_KEY where two different keys of one signer would share a keyid.
 */
export function createKeyRing(trusted: Iterable<{ signer: string; publicKey: string }>): KeyRing {
  const signers = new Map<string, Map<string, VerifyingKey>>();
  for (const { signer, publicKey } of trusted) {
    const key = verifyingKey(publicKey);
    const keys = signers.get(signer) ?? new Map<string, VerifyingKey>();
    const other = keys.get(key.keyid);
    if (other && other.publicKey !== publicKey) throw new EvidenceError('BAD_KEY', `two keys have keyid ${key.keyid}`);
    signers.set(signer, keys.set(key.keyid, key));
  }
  const find = (keyid: string, signer: string) => signers.get(signer)?.get(keyid);
  return { find: (keyid, signer) => find(keyid, signer) ?? find(keyid, signer.slice(0, signer.lastIndexOf('/') + 1)) };
}

function keyidOf(publicKey: string): string {
  return sha256Hex(Buffer.from(publicKey, 'base64url')).slice(0, 16);
}

function rawKey(text: string, what: string): Buffer {
  if (typeof text !== 'string' || !RAW_32_BASE64URL.test(text)) {
    throw new EvidenceError('BAD_KEY', `the ${what} is not ${PUBLIC_KEY_BYTES} bytes in base64url`);
  }
  return Buffer.from(text, 'base64url');
}

function importPublicKey(publicKey: string): KeyObject {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
  } catch (cause) {
    throw new EvidenceError('BAD_KEY', 'the public key is not an Ed25519 key', { cause });
  }
}
