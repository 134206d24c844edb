import { hkdfSync } from 'node:crypto';
import { CompactEncrypt, compactDecrypt } from 'jose';

/**
 * What the broker can work out again from its own key (HKDF, RFC 5869): a lease's password or seed follows from the permit, so a broker
 * that died in the middle left nothing that its successor cannot name, try and end. Replicas share the key.
 */
export interface LeaseSecrets {
  /** Tells this deployment's objects at a provider from those of others: 8 characters of 0-9 and a-f. */
  readonly deployment: string;
  /** What a lease's user or role is called at its provider. */
  nameOf(permit: string): string;
  /** The permit of such a name; undefined for a name that is not of this deployment. */
  permitOf(name: string): string | undefined;
  /** 32 bytes, base64url. */
  password(permit: string): string;
  /** 32 bytes, for a key pair. */
  bytes(purpose: string, permit: string): Uint8Array;
  /** Encrypted for `about` alone (JWE, RFC 7516: dir, A256GCM). */
  lock(text: string, about: string): Promise<string>;
  /** Rejects what was not locked by this key for `about`. */
  unlock(locked: string, about: string): Promise<string>;
}

export const keyBytes = 32;

export const createLeaseSecrets = (key: Uint8Array): LeaseSecrets => {
  if (key.length !== keyBytes) throw new Error(`the broker's key has ${key.length} bytes instead of ${keyBytes}`);
  const derive = (info: string) =>
    new Uint8Array(hkdfSync('sha256', key, '', `agentgate-broker-v1\n${info}`, keyBytes));
  const deployment = Buffer.from(derive('deployment')).toString('hex').slice(0, 8);
  const lockKey = derive('lock');
  const prefix = `ag_${deployment}_`;
  const bytes = (purpose: string, permit: string) => derive(`${purpose}\n${permit}`);
  return {
    deployment,
    nameOf: (permit) => `${prefix}${permit}`,
    permitOf: (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : undefined),
    password: (permit) => Buffer.from(bytes('password', permit)).toString('base64url'),
    bytes,
    lock: (text, about) =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', sub: about })
        .encrypt(lockKey),
    unlock: async (locked, about) => {
      const { plaintext, protectedHeader } = await compactDecrypt(locked, lockKey);
      if (protectedHeader.sub !== about) throw new Error('it was locked for something else');
      return new TextDecoder().decode(plaintext);
    },
  };
};
