import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Appender,
  consistencyProof,
  createAppender,
  createTree,
  edgeRoot,
  inclusionPaths,
  inclusionProof,
  leafHash,
  merkleRoot,
  nodeHash,
  rootFromTiles,
  sha256Hex,
  tilePath,
  tilesForConsistency,
  tilesForInclusion,
  tilesOfGrowth,
  verifyConsistency,
  verifyInclusion,
} from '../src/index.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const hashes: Uint8Array[] = Array.from({ length: 700 }, (_, i) => leafHash(`leaf ${i}`));
const rootOf = (size: number): Uint8Array => merkleRoot(hashes.slice(0, size));

/** RFC 9162, section 2.1.4.1, word for word: slow, and plainly right. */
function proofByDefinition(old: number, leaves: readonly Uint8Array[], isWhole = true): Uint8Array[] {
  if (old === leaves.length) return isWhole ? [] : [merkleRoot(leaves)];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return old <= split
    ? [...proofByDefinition(old, left, isWhole), merkleRoot(right)]
    : [...proofByDefinition(old - split, right, false), merkleRoot(left)];
}

/** A published log in memory: a path is written once. */
function createFolder() {
  const files = new Map<string, string>();
  const reads: string[] = [];
  return {
    reads,
    publish(appender: Appender): string[] {
      const tiles = appender.takeTiles();
      for (const { tile, bytes } of tiles) {
        const path = tilePath(tile);
        if (files.has(path)) expect.fail(`${path} was written twice`);
        files.set(path, hex(bytes));
      }
      return tiles.map(({ tile }) => tilePath(tile));
    },
    readTile(path: string): Uint8Array {
      reads.push(path);
      return Buffer.from(files.get(path) ?? expect.fail(`no ${path}`), 'hex');
    },
  };
}

describe('a tree that grows', () => {
  test('has the root of the definition at every size, and goes on from its edge', () => {
    let tree = createTree();
    for (let size = 0; size <= 300; size++) {
      expect(hex(tree.root())).toBe(hex(rootOf(size)));
      expect(tree.size).toBe(size);
      const edge = tree.edge();
      expect(hex(edgeRoot(edge))).toBe(hex(tree.root()));
      tree = createTree(edge);
      tree.push(hashes[size] as Uint8Array);
      expect(edge.size).toBe(size);
    }
  });

  test('is refused with MALFORMED at an edge that is none, and for a leaf that is no hash', () => {
    const hash = hashes[0] as Uint8Array;
    const wrong = expect.objectContaining({
      code: 'MALFORMED',
      message: 'the edge has not one hash for each bit of its size',
    });
    for (const edge of [
      { size: 0, hashes: [hash] },
      { size: 3, hashes: [hash] },
      { size: 1, hashes: [hash.subarray(1)] },
      { size: -1, hashes: [] },
      { size: 1.5, hashes: [hash] },
    ]) {
      expect(() => createTree(edge)).toThrow(wrong);
    }
    expect(() => createTree().push(hash.subarray(1))).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'a leaf hash is not of 32 bytes' }),
    );
  });

  test('grows beyond 32 bits', () => {
    const [full, leaf] = hashes as [Uint8Array, Uint8Array];
    const tree = createTree({ size: 2 ** 40, hashes: [full] });
    tree.push(leaf);
    expect(tree.edge()).toEqual({ size: 2 ** 40 + 1, hashes: [full, leaf] });
    expect(hex(tree.root())).toBe(hex(nodeHash(full, leaf)));
  });
});

describe('an appender', () => {
  test('yields the tiles of each growth, also after it was started anew, with the hashes that are due', () => {
    const folder = createFolder();
    let appender = createAppender();
    let size = 0;
    for (let step = 0; size < hashes.length; step++) {
      const to = Math.min(hashes.length, size + ([1, 0, 2, 255, 3, 37, 256, 1][step % 8] as number));
      for (const hash of hashes.slice(size, to)) appender.push(hash);
      const expected = [...tilesOfGrowth(size, to)].filter(({ level }) => level !== 'entries').map(tilePath);
      expect(folder.publish(appender)).toEqual(expected);
      size = to;
      appender = createAppender({ size, readTile: folder.readTile });
      expect(hex(appender.root())).toBe(hex(rootOf(size)));
      expect(hex(rootFromTiles({ size, readTile: folder.readTile }))).toBe(hex(rootOf(size)));
      expect(appender.takeTiles()).toEqual([]);
    }
    expect(Buffer.from(folder.readTile('tile/0/001')).equals(Buffer.concat(hashes.slice(256, 512)))).toBe(true);
    const tops = [0, 256].map((from) => merkleRoot(hashes.slice(from, from + 256)));
    expect(Buffer.from(folder.readTile('tile/1/000.p/2')).equals(Buffer.concat(tops))).toBe(true);
  });

  test('never changes a tile that it has given out', () => {
    const appender = createAppender();
    appender.push(hashes[0] as Uint8Array);
    const [first] = appender.takeTiles();
    const before = sha256Hex(first?.bytes as Uint8Array);
    for (const hash of hashes) appender.push(hash);
    expect(sha256Hex(first?.bytes as Uint8Array)).toBe(before);
  });

  test('carries over two levels at 65,536 leaves', () => {
    const folder = createFolder();
    const appender = createAppender();
    for (let i = 0; i < 65_537; i++) {
      appender.push(hashes[i % hashes.length] as Uint8Array);
      if (i === 65_534) folder.publish(appender);
    }
    expect(folder.publish(appender)).toEqual(['tile/0/255', 'tile/0/256.p/1', 'tile/1/000', 'tile/2/000.p/1']);
    const again = createAppender({ size: 65_537, readTile: folder.readTile });
    expect(again.edge()).toEqual(appender.edge());
    expect(hex(folder.readTile('tile/2/000.p/1'))).toBe(hex(appender.edge().hashes[0] as Uint8Array));
  });

  test('is refused with MALFORMED where a tile has another width', () => {
    expect(() => createAppender({ size: 2, readTile: () => hashes[0] as Uint8Array })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'the tile is 32 bytes, not 2 hashes of 32' }),
    );
  });
});

describe('proofs out of tiles', () => {
  /** One folder with the partial tiles of every size to 300, and of 700. */
  const folder = createFolder();
  beforeAll(() => {
    const appender = createAppender();
    for (const [i, hash] of hashes.entries()) {
      appender.push(hash);
      if (i < 300) folder.publish(appender);
    }
    folder.publish(appender);
  });
  const { readTile } = folder;

  test('of inclusion are the paths of the definition and verify, for many leaves of 1 to 300', () => {
    for (let size = 1; size <= 300; size++) {
      // Every leaf of every thirtieth size, and of those around a full tile.
      const indexes =
        size % 30 === 0 || (size > 254 && size < 258)
          ? Array.from({ length: size }, (_, i) => i)
          : [0, size >> 1, size - 1];
      const paths = inclusionPaths(hashes.slice(0, size));
      const root = rootOf(size);
      for (const index of indexes) {
        const path = inclusionProof({ index, size, readTile });
        expect(path.map(hex).join()).toBe((paths[index] as Uint8Array[]).map(hex).join());
        expect(verifyInclusion({ leaf: hashes[index] as Uint8Array, index, size, path }, root)).toBe(true);
      }
    }
  }, 60_000);

  test('of consistency are those of the definition and verify, between many sizes of 0 to 300', () => {
    const roots = Array.from({ length: 301 }, (_, size) => rootOf(size));
    for (let size = 0; size <= 300; size++) {
      const step = size < 40 || (size > 254 && size < 258) ? 1 : 29;
      for (let oldSize = size % step; oldSize <= size; oldSize += step) {
        const proof = consistencyProof({ oldSize, size, readTile });
        if (oldSize > 0 && size < 40) {
          expect(proof.map(hex)).toEqual(proofByDefinition(oldSize, hashes.slice(0, size)).map(hex));
        }
        const claim = { oldSize, size, proof, oldRoot: roots[oldSize] as Uint8Array, root: roots[size] as Uint8Array };
        if (!verifyConsistency(claim)) expect.fail(`from ${oldSize} to ${size}`);
      }
    }
  }, 60_000);

  test('read few tiles, each once, and those that were foretold', () => {
    for (const [index, size] of [
      [0, 700],
      [511, 700],
      [699, 700],
      [5, 300],
    ] as const) {
      folder.reads.length = 0;
      inclusionProof({ index, size, readTile });
      expect(folder.reads.toSorted()).toEqual(tilesForInclusion(index, size).map(tilePath).toSorted());
      expect(folder.reads.length).toBeLessThanOrEqual(3);
    }
    folder.reads.length = 0;
    consistencyProof({ oldSize: 300, size: 700, readTile });
    expect(folder.reads.toSorted()).toEqual(tilesForConsistency(300, 700).map(tilePath).toSorted());
    expect(folder.reads.toSorted()).toEqual(['tile/0/001', 'tile/0/002.p/188', 'tile/1/000.p/2']);
  });

  test('of a large log take a tile or two a level', () => {
    expect(tilesForInclusion(123_456, 1_000_000).map(tilePath)).toEqual([
      'tile/0/482',
      'tile/1/001',
      'tile/2/000.p/15',
      'tile/1/015.p/66',
      'tile/0/x003/906.p/64',
    ]);
  });

  test.each([
    [5, 5],
    [-1, 5],
    [0.5, 5],
    [0, 2 ** 53],
  ])('are refused with MALFORMED for leaf %d of %d', (index, size) => {
    const wrong = expect.objectContaining({ code: 'MALFORMED', message: 'the index is not below the size' });
    expect(() => inclusionProof({ index, size, readTile })).toThrow(wrong);
  });

  test('are refused with MALFORMED where a tile has another width, or where a log shrinks', () => {
    const short = (path: string) => readTile(path).subarray(1);
    expect(() => inclusionProof({ index: 0, size: 5, readTile: short })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'the tile is 159 bytes, not 5 hashes of 32' }),
    );
    expect(() => consistencyProof({ oldSize: 6, size: 5, readTile })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'the old size is not within the size' }),
    );
  });
});

describe('verifyConsistency', () => {
  /** The reference tree of Certificate Transparency, and its proofs. */
  const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const reference = leaves.map((leaf) => leafHash(Buffer.from(leaf, 'hex')));
  const referenceRoot = (size: number) => merkleRoot(reference.slice(0, size));
  const appender = createAppender();
  for (const hash of reference) appender.push(hash);

  test.each([
    [1, 1, []],
    [
      1,
      8,
      [
        '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
      ],
    ],
    [
      6,
      8,
      [
        '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
        'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
        'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
      ],
    ],
    [
      2,
      5,
      [
        '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
        'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      ],
    ],
  ])('takes the reference proof from %i to %i', (oldSize, size, proof) => {
    const folder = createFolder();
    const upTo = createAppender();
    for (const hash of reference.slice(0, size)) upTo.push(hash);
    folder.publish(upTo);
    expect(consistencyProof({ oldSize, size, readTile: folder.readTile }).map(hex)).toEqual(proof);
    const claim = { oldSize, size, oldRoot: referenceRoot(oldSize), root: referenceRoot(size) };
    expect(verifyConsistency({ ...claim, proof: proof.map((each) => Buffer.from(each, 'hex')) })).toBe(true);
  });

  test('refuses every other root, size and proof, for all sizes to 20', () => {
    const folder = createFolder();
    const small = createAppender();
    const roots = [rootOf(0)];
    for (const hash of hashes.slice(0, 20)) {
      small.push(hash);
      folder.publish(small);
      roots.push(small.root());
    }
    const other = hashes[99] as Uint8Array;
    for (let size = 1; size <= 20; size++) {
      for (let oldSize = 0; oldSize <= size; oldSize++) {
        const proof = consistencyProof({ oldSize, size, readTile: folder.readTile });
        const claim = { oldSize, size, oldRoot: roots[oldSize] as Uint8Array, root: roots[size] as Uint8Array, proof };
        expect(verifyConsistency(claim)).toBe(true);
        const wrong = [
          { oldRoot: other },
          // A proof from nothing shows nothing of the new root.
          ...(oldSize > 0 ? [{ root: other }] : []),
          { proof: [...proof, other] },
          { proof: [other, ...proof] },
          ...proof.flatMap((_, i) => [
            { proof: proof.toSpliced(i, 1) },
            { proof: proof.toSpliced(i, 1, other) },
            { proof: proof.toSpliced(i, 1, (proof[i] as Uint8Array).subarray(1)) },
          ]),
          { oldSize: size + 1 },
          { oldSize: -1 },
          { size: Number.NaN },
          { oldRoot: other.subarray(1) },
        ];
        for (const part of wrong) expect(verifyConsistency({ ...claim, ...part })).toBe(false);
      }
    }
  });
});
