import { describe, expect, test } from 'vitest';
import {
  createKeyRing,
  createSealCache,
  type KeyRing,
  leafHash,
  merkleRoot,
  nodeHash,
  type Seal,
  sealBatch,
  signRoot,
  verifyingKey,
  verifySeal,
} from '../src/index.ts';
import { keyOf } from './sample.ts';

const key = keyOf(1);
const scope = { domain: 'agentgate-seal-v1', lines: ['ingress', 'epoch-1'] };
const keys = createKeyRing([{ signer: 'ingress', publicKey: key.publicKey }]);
const leavesOf = (size: number): string[] => Array.from({ length: size }, (_, i) => `{"n":${i}}`);
const leaves = leavesOf(5);
const seals = sealBatch({ ...scope, leaves, key });
const leaf = leaves[1] as string;
const seal = seals[1] as Seal;
const other = leafHash('other').toString('base64');

/** A ring that counts how often Ed25519 was asked. */
function countingKeys(): KeyRing & { verifications: number } {
  const verifier = verifyingKey(key.publicKey);
  const ring = {
    verifications: 0,
    find: (keyid: string) =>
      keyid === key.keyid
        ? {
            ...verifier,
            verify: (bytes: Uint8Array, signature: Uint8Array) => {
              ring.verifications += 1;
              return verifier.verify(bytes, signature);
            },
          }
        : undefined,
  };
  return ring;
}

describe('sealBatch', () => {
  test('signs the text of PROTOCOL.md, once for all leaves', () => {
    const root = Buffer.from(merkleRoot(leaves.map(leafHash))).toString('hex');
    const text = `agentgate-seal-v1\ningress\nepoch-1\n5\n${root}\n`;
    const sig = Buffer.from(key.sign(Buffer.from(text))).toString('base64');
    expect(seals).toHaveLength(5);
    for (const [index, made] of seals.entries()) {
      expect(made).toEqual({ keyid: key.keyid, root, index, size: 5, path: made.path, sig });
    }
    expect(seals[4]?.path).toHaveLength(1);
  });

  test('makes a seal for each leaf that verifies alone, for batches of 1 to 130', () => {
    for (let size = 1; size <= 130; size += size < 20 ? 1 : 11) {
      const batch = leavesOf(size);
      for (const [index, made] of sealBatch({ ...scope, leaves: batch, key }).entries()) {
        const claim = { ...scope, keys, leaf: batch[index] as string, seal: JSON.parse(JSON.stringify(made)) };
        expect(verifySeal({ ...claim, cache: createSealCache() })).toEqual({ ok: true });
      }
    }
  });

  test.each([
    ['a newline in a line', { ...scope, lines: ['ingress\nepoch-1'] }],
    ['a newline in the domain', { ...scope, domain: 'a\nb' }],
    ['a carriage return', { ...scope, lines: ['ingress\r'] }],
    ['an empty line', { ...scope, lines: ['ingress', ''] }],
    ['the first control of C0', { ...scope, lines: ['a\0'] }],
    ['the last control of C0', { ...scope, lines: ['a\x1f'] }],
    ['a delete', { ...scope, lines: ['a\x7f'] }],
    ['the first control of C1', { ...scope, lines: ['\x80a'] }],
    ['the last control of C1', { ...scope, lines: ['a\x9fb'] }],
    ['no line', { ...scope, lines: [] }],
    ['a lone surrogate', { ...scope, lines: ['\ud800'] }],
    ['an overlong line', { ...scope, lines: ['a'.repeat(513)] }],
  ])('refuses %s', (_, wrong) => {
    expect(() => sealBatch({ ...wrong, leaves, key })).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    expect(verifySeal({ ...wrong, keys, leaf, seal })).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test.each(['a b~', 'a\xa0', 'é', '\u{1d11e}', '\u2028'])(
    'takes a line such as %j, which holds no control',
    (line) => {
      const [made] = sealBatch({ ...scope, lines: ['ingress', line], leaves: ['x'], key });
      expect(verifySeal({ ...scope, lines: ['ingress', line], keys, leaf: 'x', seal: made })).toEqual({ ok: true });
    },
  );

  test('refuses no leaves and more than 65,536', () => {
    const root = seal.root;
    expect(() => sealBatch({ ...scope, leaves: [], key })).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    expect(() => signRoot({ ...scope, size: 65_537, root, key })).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE' }),
    );
  });
});

describe('verifySeal', () => {
  const verify = (claim: object) => verifySeal({ ...scope, keys, leaf, seal, ...claim });

  test('accepts the leaf, scope and seal that belong together', () => {
    expect(verify({})).toEqual({ ok: true });
  });

  test.each<[string, object, string, string]>([
    ['another leaf', { leaf: leaves[2] }, 'BAD_PATH', 'the path does not lead to the root'],
    ['another domain', { domain: 'agentgate-permit-v1' }, 'BAD_SIGNATURE', 'not signed by key'],
    ['another epoch', { lines: ['ingress', 'epoch-2'] }, 'BAD_SIGNATURE', 'not signed by key'],
    ['a line less', { lines: ['ingress'] }, 'BAD_SIGNATURE', 'not signed by key'],
    ['a line more', { lines: ['ingress', 'epoch-1', '5'] }, 'BAD_SIGNATURE', 'not signed by key'],
    ['another signer', { lines: ['policy', 'epoch-1'] }, 'UNKNOWN_KEY', 'of policy'],
    ['a leaf that is not well-formed', { leaf: '\ud800' }, 'MALFORMED', 'the leaf holds a lone surrogate'],
  ])('refuses %s', (_, claim, code, reason) => {
    expect(verify(claim)).toEqual({ ok: false, code, reason: expect.stringContaining(reason) });
  });

  test.each<[string, Partial<Record<keyof Seal | 'extra', unknown>>, string]>([
    ['another index', { index: 2 }, 'BAD_PATH'],
    ['an index at size', { index: 5 }, 'MALFORMED'],
    ['a negative index', { index: -1 }, 'MALFORMED'],
    ['a fractional index', { index: 1.5 }, 'MALFORMED'],
    ['an index as text', { index: '1' }, 'MALFORMED'],
    ['another size with a path of the same length', { size: 6 }, 'BAD_SIGNATURE'],
    ['another size with another path length', { size: 2 }, 'BAD_PATH'],
    ['size 0', { size: 0 }, 'MALFORMED'],
    ['a size beyond the bound', { size: 65_537 }, 'MALFORMED'],
    ['another root', { root: 'a'.repeat(64) }, 'BAD_PATH'],
    ['a root in capitals', { root: seal.root.toUpperCase() }, 'MALFORMED'],
    ['a root that is no text', { root: [seal.root] }, 'MALFORMED'],
    ['a path without its end', { path: seal.path.slice(0, -1) }, 'BAD_PATH'],
    ['a longer path', { path: [...seal.path, other] }, 'BAD_PATH'],
    ['a path in another order', { path: [...seal.path].reverse() }, 'BAD_PATH'],
    ['a path with another hash', { path: [other, ...seal.path.slice(1)] }, 'BAD_PATH'],
    ['a path with a second spelling of a hash', { path: [`${other.slice(0, 42)}B=`] }, 'MALFORMED'],
    ['a path of numbers', { path: [1, 2, 3] }, 'MALFORMED'],
    ['a path that is no array', { path: { length: 0 } }, 'MALFORMED'],
    ['a path beyond the bound', { path: Array(17).fill(other) }, 'MALFORMED'],
    ['a key that nobody has', { keyid: '0'.repeat(16) }, 'UNKNOWN_KEY'],
    ['a keyid that is no keyid', { keyid: '__proto__' }, 'MALFORMED'],
    ['another signature', { sig: `A${seal.sig.slice(1)}` }, 'BAD_SIGNATURE'],
    ['a second spelling of the signature', { sig: seal.sig.replace(/.==$/, 'B==') }, 'MALFORMED'],
    ['a signature cut short', { sig: seal.sig.slice(4) }, 'MALFORMED'],
    ['a field more', { extra: 1 }, 'MALFORMED'],
    ['a field less', { sig: undefined }, 'MALFORMED'],
  ])('refuses a seal with %s', (_, change, code) => {
    const forged = JSON.parse(JSON.stringify({ ...seal, ...change }));
    const cache = createSealCache();
    expect(verify({ cache })).toEqual({ ok: true });
    expect(verify({ seal: forged })).toMatchObject({ ok: false, code });
    expect(verify({ seal: forged, cache })).toMatchObject({ ok: false, code });
  });

  test.each([{ sig: undefined }, { extra: 1 }, { sig: undefined, extra: 1 }])(
    'names the fields of a seal with %j',
    (change) => {
      const reason = 'the seal has other fields than index,keyid,path,root,sig,size';
      const forged = JSON.parse(JSON.stringify({ ...seal, ...change }));
      expect(verify({ seal: forged })).toEqual({ ok: false, code: 'MALFORMED', reason });
    },
  );

  test.each([null, undefined, 1, 'seal', [], [seal]])('refuses %j in place of a seal', (wrong) => {
    expect(verify({ seal: wrong })).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test('refuses an inner node in the place of a leaf', () => {
    // Of two leaves the root is one inner node over both hashes: shown as a leaf of a smaller tree it must not pass.
    const pair = leavesOf(2);
    const [left, right] = pair.map(leafHash) as [Buffer, Buffer];
    const [sealed] = sealBatch({ ...scope, leaves: pair, key }) as [Seal];
    const inner = Buffer.concat([left, right]).toString('latin1');
    for (const size of [1, 2]) {
      const verdict = verify({ leaf: inner, seal: { ...sealed, index: 0, size, path: [] } });
      expect(verdict).toMatchObject({ ok: false, code: 'BAD_PATH' });
    }
    const plain = leafHash(Buffer.concat([left, right]));
    expect(plain.equals(nodeHash(left, right))).toBe(false);
  });

  test('refuses a seal of a key that signs for somebody else', () => {
    const ring = createKeyRing([
      { signer: 'ingress', publicKey: key.publicKey },
      { signer: 'policy', publicKey: keyOf(2).publicKey },
    ]);
    const [forged] = sealBatch({ ...scope, leaves: [leaf], key: keyOf(2) });
    expect(verify({ keys: ring, seal: forged })).toMatchObject({ ok: false, code: 'UNKNOWN_KEY' });
  });
});

test('verifySeal refuses what a ring finds when it has another keyid', () => {
  const ring = { find: () => verifyingKey(keyOf(2).publicKey) };
  const [forged] = sealBatch({ ...scope, leaves: [leaf], key: keyOf(2) }) as [Seal];
  const verdict = verifySeal({ ...scope, keys: ring, leaf, seal: { ...forged, keyid: key.keyid } });
  expect(verdict).toMatchObject({ ok: false, code: 'UNKNOWN_KEY' });
});

describe('seal cache', () => {
  test('lets one Ed25519 verification serve a batch', () => {
    const ring = countingKeys();
    const cache = createSealCache();
    for (const [i, made] of seals.entries()) {
      expect(verifySeal({ ...scope, keys: ring, cache, leaf: leaves[i] as string, seal: made })).toEqual({ ok: true });
    }
    expect(ring.verifications).toBe(1);
  });

  test('vouches for a root under no other domain, line, size or signature', () => {
    const cache = createSealCache();
    const claim = { ...scope, keys: countingKeys(), cache, leaf, seal };
    expect(verifySeal(claim)).toEqual({ ok: true });
    const sig = `A${seal.sig.slice(1)}`;
    for (const change of [
      { domain: 'agentgate-permit-v1' },
      { lines: ['ingress', 'epoch-2'] },
      { lines: ['ingress'] },
      { seal: { ...seal, size: 6 } },
      { seal: { ...seal, sig } },
    ]) {
      expect(verifySeal({ ...claim, ...change })).toMatchObject({ ok: false, code: 'BAD_SIGNATURE' });
    }
  });

  test('vouches for nothing once the key is no longer trusted', () => {
    const cache = createSealCache();
    expect(verifySeal({ ...scope, keys, cache, leaf, seal })).toEqual({ ok: true });
    const verdict = verifySeal({ ...scope, keys: createKeyRing([]), cache, leaf, seal });
    expect(verdict).toEqual({ ok: false, code: 'UNKNOWN_KEY', reason: `no key ${key.keyid} of ingress` });
  });

  test('does not remember what failed', () => {
    const ring = countingKeys();
    const forged = { ...seal, sig: `A${seal.sig.slice(1)}` };
    const claim = { ...scope, keys: ring, cache: createSealCache(), leaf, seal: forged };
    expect([verifySeal(claim).ok, verifySeal(claim).ok, ring.verifications]).toEqual([false, false, 2]);
  });

  test('forgets the least recently used beyond its bound', () => {
    const cache = createSealCache(2);
    cache.add('a');
    cache.add('b');
    expect(cache.has('a')).toBe(true);
    cache.add('c');
    expect([cache.has('a'), cache.has('b'), cache.has('c')]).toEqual([true, false, true]);
  });
});
