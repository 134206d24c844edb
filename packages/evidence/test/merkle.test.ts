import { describe, expect, test } from 'vitest';
import {
  inclusionPaths,
  leafHash,
  leafHashes,
  merkleRoot,
  nodeHash,
  rootFromBase64,
  rootFromPath,
  sha256Hex,
  verifyInclusion,
} from '../src/index.ts';

/** The leaves and roots that the reference tests of Certificate Transparency use. */
const referenceLeaves = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex')));
const referenceRoots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const leaves = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => leafHash(`leaf ${i}`));

/** The RFC's own recursive definition: slow, and plainly right. */
function rootByDefinition(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return hashes[0] as Uint8Array;
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  return nodeHash(rootByDefinition(hashes.slice(0, split)), rootByDefinition(hashes.slice(split)));
}

function pathByDefinition(index: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  if (hashes.length === 1) return [];
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)];
  return index < split
    ? [...pathByDefinition(index, left), rootByDefinition(right)]
    : [...pathByDefinition(index - split, right), rootByDefinition(left)];
}

describe('leafHash', () => {
  test('is the same for a string and its UTF-8 bytes, and is no plain hash', () => {
    expect(hex(leafHash('é\0😀'))).toBe(hex(leafHash(Buffer.from('é\0😀'))));
    expect(hex(leafHash('a'))).toBe(sha256Hex(Buffer.from([0, 97])));
  });

  test('is the same for many texts at once, whatever stands before each', () => {
    const texts = ['a longer one', '', 'é\0😀', '€'.repeat(100), 'short'];
    expect(leafHashes(texts)).toEqual(texts.map(leafHash));
    expect(leafHashes([])).toEqual([]);
  });
});

describe('merkleRoot', () => {
  test.each(referenceRoots.map((root, i) => [i + 1, root] as const))(
    'is the reference root of %i leaves',
    (size, root) => {
      expect(hex(merkleRoot(referenceLeaves.slice(0, size)))).toBe(root);
    },
  );

  test('of no leaves is the hash of nothing', () => {
    expect(hex(merkleRoot([]))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});

describe('inclusion paths', () => {
  test('are those of the definition and lead to its root, for every leaf of 1 to 130', () => {
    for (let size = 1; size <= 130; size++) {
      const hashes = leaves(size);
      const root = rootByDefinition(hashes);
      expect(hex(merkleRoot(hashes))).toBe(hex(root));
      const paths = inclusionPaths(hashes);
      for (const [index, path] of paths.entries()) {
        if (size <= 40) expect(path.map(hex)).toEqual(pathByDefinition(index, hashes).map(hex));
        expect(verifyInclusion({ leaf: hashes[index] as Uint8Array, index, size, path }, root)).toBe(true);
      }
    }
  });

  test('prove no other index and no other leaf, for every leaf of 1 to 33', () => {
    for (let size = 1; size <= 33; size++) {
      const hashes = leaves(size);
      const root = merkleRoot(hashes);
      for (const [index, path] of inclusionPaths(hashes).entries()) {
        for (let other = 0; other < size; other++) {
          if (other === index) continue;
          expect(verifyInclusion({ leaf: hashes[index] as Uint8Array, index: other, size, path }, root)).toBe(false);
          expect(verifyInclusion({ leaf: hashes[other] as Uint8Array, index, size, path }, root)).toBe(false);
        }
      }
    }
  });

  test('are refused when longer or shorter than exact, or when a hash has another length', () => {
    for (let size = 1; size <= 33; size++) {
      const hashes = leaves(size);
      for (const [index, path] of inclusionPaths(hashes).entries()) {
        const leaf = hashes[index] as Uint8Array;
        expect(rootFromPath({ leaf, index, size, path: [...path, leaf] })).toBeUndefined();
        if (path.length > 0) {
          expect(rootFromPath({ leaf, index, size, path: path.slice(1) })).toBeUndefined();
          expect(rootFromPath({ leaf, index, size, path: [leaf.subarray(1), ...path.slice(1)] })).toBeUndefined();
        }
      }
    }
  });

  test('lead to the same root in base64, and are refused where those in bytes are', () => {
    const base64 = (hashes: readonly Uint8Array[]) => hashes.map((h) => Buffer.from(h).toString('base64'));
    for (let size = 1; size <= 70; size++) {
      const hashes = leaves(size);
      const root = hex(merkleRoot(hashes));
      for (const [index, path] of inclusionPaths(hashes).entries()) {
        const leaf = hashes[index] as Uint8Array;
        expect(hex(rootFromBase64({ leaf, index, size, path: base64(path) }) as Buffer)).toBe(root);
        const others = [[...path, leaf], path.slice(1), [...path].reverse(), [...path.slice(1), leaf]];
        for (const other of others) {
          for (const at of [index, (index + 1) % size]) {
            const inBytes = rootFromPath({ leaf, index: at, size, path: other });
            expect(rootFromBase64({ leaf, index: at, size, path: base64(other) })).toEqual(inBytes);
          }
        }
        if (path.length === 0) continue;
        const short = base64([leaf.subarray(1), ...path.slice(1)]);
        expect(rootFromBase64({ leaf, index, size, path: short })).toBeUndefined();
        expect(rootFromBase64({ leaf, index, size, path: ['', ...short.slice(1)] })).toBeUndefined();
        expect(rootFromBase64({ leaf: leaf.subarray(1), index, size, path: base64(path) })).toBeUndefined();
      }
    }
  });

  test.each([
    [-1, 4],
    [4, 4],
    [0, 0],
    [0.5, 4],
    [Number.NaN, 4],
    [0, Number.POSITIVE_INFINITY],
  ])('are refused for index %d of size %d', (index, size) => {
    const leaf = leafHash('a');
    expect(rootFromPath({ leaf, index, size, path: [leaf, leaf] })).toBeUndefined();
  });

  test('hold in trees beyond 32 bits', () => {
    // The last two leaves of 2^40 + 2 stand beside one full subtree, so that subtree's root ends the path.
    const [leaf, sibling, full] = leaves(3) as [Uint8Array, Uint8Array, Uint8Array];
    const root = rootFromPath({ leaf, index: 2 ** 40 + 1, size: 2 ** 40 + 2, path: [sibling, full] });
    expect(root && hex(root)).toBe(hex(nodeHash(full, nodeHash(sibling, leaf))));
  });
});
