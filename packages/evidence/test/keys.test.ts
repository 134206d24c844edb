import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createKeyRing, generateSigningKey, sha256Hex, signingKeyFromSeed, verifyingKey } from '../src/index.ts';

const base64url = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');
/** RFC 8032, section 7.1, test 1. */
const seed = base64url('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
const publicKey = base64url('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
const signatureOfNothing =
  'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b';

describe('signing key', () => {
  test('from a seed is the key of RFC 8032', () => {
    const key = signingKeyFromSeed(seed);
    expect(key.publicKey).toBe(publicKey);
    expect(key.seed).toBe(seed);
    expect(key.keyid).toBe(sha256Hex(Buffer.from(publicKey, 'base64url')).slice(0, 16));
    expect(Buffer.from(key.sign(new Uint8Array())).toString('hex')).toBe(signatureOfNothing);
  });

  test('is another one each time, and comes back from its seed', () => {
    const key = generateSigningKey();
    expect(generateSigningKey().keyid).not.toBe(key.keyid);
    expect(signingKeyFromSeed(key.seed).publicKey).toBe(key.publicKey);
  });

  test('shows its seed neither in JSON nor in a log line', () => {
    const key = signingKeyFromSeed(seed);
    expect(JSON.stringify({ key, copy: { ...key } })).not.toContain(seed);
    expect(inspect(key)).not.toContain(seed);
  });

  test.each([
    ['empty', ''],
    ['short', 'AAAA'],
    ['long', `${seed}A`],
    ['padded', `${seed}=`],
    ['with bits set that no byte holds', `${seed.slice(0, 42)}B`],
    ['followed by a newline', `${seed}\n`],
  ])('is refused with BAD_KEY when the seed is %s', (_, wrong) => {
    const badKey = expect.objectContaining({ code: 'BAD_KEY', message: 'the seed is not 32 bytes in base64url' });
    expect(() => signingKeyFromSeed(wrong)).toThrow(badKey);
  });
});

describe('verifying key', () => {
  const message = Buffer.from('message');

  test('accepts what the signing key signed and nothing else', () => {
    const key = signingKeyFromSeed(seed);
    const verifier = verifyingKey(publicKey);
    const signature = key.sign(message);
    expect(verifier.keyid).toBe(key.keyid);
    expect(verifier.verify(message, signature)).toBe(true);
    expect(verifier.verify(Buffer.from('massage'), signature)).toBe(false);
    expect(verifier.verify(message, generateSigningKey().sign(message))).toBe(false);
    expect(verifier.verify(message, signature.subarray(1))).toBe(false);
    expect(verifier.verify(message, new Uint8Array())).toBe(false);
  });

  test('is refused with BAD_KEY when it is not 32 bytes in base64url', () => {
    expect(() => verifyingKey('AAAA')).toThrow(
      expect.objectContaining({ code: 'BAD_KEY', message: 'the public key is not 32 bytes in base64url' }),
    );
  });
});

describe('key ring', () => {
  const { keyid } = verifyingKey(publicKey);

  test('finds a key only for the signer that it belongs to', () => {
    const ring = createKeyRing([{ signer: 'policy', publicKey }]);
    expect(ring.find(keyid, 'policy')?.publicKey).toBe(publicKey);
    expect(ring.find(keyid, 'ingress')).toBeUndefined();
    expect(ring.find('0'.repeat(16), 'policy')).toBeUndefined();
    expect(ring.find(keyid, '')).toBeUndefined();
  });

  test('finds the key of each instance where the signer ends in a slash', () => {
    const ring = createKeyRing([{ signer: 'agentgate/ingress/', publicKey }]);
    expect(ring.find(keyid, 'agentgate/ingress/a1')?.publicKey).toBe(publicKey);
    for (const other of [
      'agentgate/ingress',
      'agentgate/ingress-2/a1',
      'agentgate/policy/a1',
      'agentgate/ingress/a/b',
    ]) {
      expect(ring.find(keyid, other)).toBeUndefined();
    }
  });
});
