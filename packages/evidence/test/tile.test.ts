import { describe, expect, test } from 'vitest';
import {
  decodeEntries,
  decodeHashTile,
  encodeEntries,
  encodeHashTile,
  MAX_ENTRY_BYTES,
  parseTilePath,
  partialTiles,
  sha256,
  tilePath,
  tilesOfGrowth,
} from '../src/index.ts';

const malformed = (message: string) => expect.objectContaining({ code: 'MALFORMED', message });

describe("a tile's path", () => {
  test.each([
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 999, width: 1 }, 'tile/0/999.p/1'],
    [{ level: 63, index: 1000, width: 255 }, 'tile/63/x001/000.p/255'],
    // The example of C2SP tlog-tiles.
    [{ level: 1, index: 1_234_067, width: 256 }, 'tile/1/x001/x234/067'],
    [{ level: 'entries', index: 67, width: 12 }, 'tile/entries/067.p/12'],
    [{ level: 0, index: Number.MAX_SAFE_INTEGER, width: 256 }, 'tile/0/x009/x007/x199/x254/x740/991'],
  ] as const)('of %j is %s, and is read again', (tile, path) => {
    expect(tilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  test.each([
    '',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/00',
    'tile/0/0000',
    'tile/0/001/000',
    'tile/0/x000/001',
    'tile/0/x001/x234/067.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000.p/',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/data/000',
    'tile/0/x010/x007/x199/x254/x740/991',
    'tile/0/../000',
    'tile/0/000\n',
    'tile/0/٠٠٠',
  ])('is refused with MALFORMED when it is %j', (path) => {
    expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });

  test.each([
    [{ level: 64, index: 0, width: 1 }, "the tile's level is not 0 to 63"],
    [{ level: 0.5, index: 0, width: 1 }, "the tile's level is not 0 to 63"],
    [{ level: 0, index: -1, width: 1 }, "the tile's index is not a whole number of 0 to 2^53 - 1"],
    [{ level: 0, index: 2 ** 53, width: 1 }, "the tile's index is not a whole number of 0 to 2^53 - 1"],
    [{ level: 0, index: 0, width: 0 }, "a tile's width is not 1 to 256"],
    [{ level: 0, index: 0, width: 257 }, "a tile's width is not 1 to 256"],
  ])('is not made of %j', (tile, message) => {
    expect(() => tilePath(tile)).toThrow(malformed(message));
  });
});

describe('a hash tile', () => {
  const hashes = [1, 2, 3].map((n) => sha256(String(n)));

  test('holds its hashes side by side and nothing else', () => {
    const bytes = encodeHashTile(hashes);
    expect(decodeHashTile(bytes, 3)).toEqual(hashes);
    for (let end = 0; end < bytes.length; end++) {
      const message = `the tile is ${end} bytes, not 3 hashes of 32`;
      expect(() => decodeHashTile(bytes.subarray(0, end), 3)).toThrow(malformed(message));
    }
    expect(() => decodeHashTile(bytes, 2)).toThrow(malformed('the tile is 96 bytes, not 2 hashes of 32'));
  });

  test('is not made of none, of 257, or of something else than hashes', () => {
    expect(() => encodeHashTile([])).toThrow(malformed("a tile's width is not 1 to 256"));
    expect(() => encodeHashTile(Array(257).fill(hashes[0]))).toThrow(malformed("a tile's width is not 1 to 256"));
    expect(() => encodeHashTile([Buffer.alloc(31)])).toThrow(malformed('a hash is not of 32 bytes'));
  });
});

describe('an entry bundle', () => {
  const entries = ['', 'a', 'x'.repeat(MAX_ENTRY_BYTES)].map((text) => Buffer.from(text));

  test('holds each entry after its length', () => {
    const bytes = encodeEntries(entries);
    expect(bytes.subarray(0, 7).toString('hex')).toBe('0000000161ffff');
    expect(decodeEntries(bytes, 3)).toEqual(entries);
    expect(decodeEntries(new Uint8Array(bytes), 3).map((entry) => entry.length)).toEqual([0, 1, MAX_ENTRY_BYTES]);
  });

  test('is refused with MALFORMED when cut anywhere, or with bytes after it', () => {
    const bytes = encodeEntries(entries.slice(0, 2).concat(Buffer.from('bcd')));
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeEntries(bytes.subarray(0, end), 3)).toThrow(
        expect.objectContaining({ code: 'MALFORMED', message: expect.stringMatching(/^the bundle ends within entry/) }),
      );
    }
    expect(() => decodeEntries(bytes, 2)).toThrow(malformed('the bundle holds more than 2 entries'));
    expect(() => decodeEntries(bytes, 0)).toThrow(malformed("a tile's width is not 1 to 256"));
  });

  test('is not made of an entry beyond 65,535 bytes', () => {
    expect(() => encodeEntries([Buffer.alloc(MAX_ENTRY_BYTES + 1)])).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE', message: 'an entry is more than 65535 bytes' }),
    );
  });
});

describe('the tiles of a growth', () => {
  const paths = (from: number, to: number): string[] => [...tilesOfGrowth(from, to)].map(tilePath);

  test('to 70,000 are those that C2SP tlog-tiles counts', () => {
    const all = paths(0, 70_000);
    expect(all.filter((path) => /^tile\/0\/(x...\/)*...$/.test(path))).toHaveLength(273);
    expect(all.filter((path) => !/^tile\/(0|entries)\/(x...\/)*...$/.test(path))).toEqual([
      'tile/entries/273.p/112',
      'tile/0/273.p/112',
      'tile/1/000',
      'tile/1/001.p/17',
      'tile/2/000.p/1',
    ]);
    expect(partialTiles(70_000).map(tilePath)).toEqual(['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
  });

  test.each([
    [0, 0, []],
    [5, 5, []],
    [0, 1, ['tile/entries/000.p/1', 'tile/0/000.p/1']],
    [255, 256, ['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']],
    [256, 257, ['tile/entries/001.p/1', 'tile/0/001.p/1']],
    [
      250,
      513,
      [
        'tile/entries/000',
        'tile/entries/001',
        'tile/entries/002.p/1',
        'tile/0/000',
        'tile/0/001',
        'tile/0/002.p/1',
        'tile/1/000.p/2',
      ],
    ],
  ])('from %i to %i are written each once', (from, to, expected) => {
    expect(paths(from, to)).toEqual(expected);
  });

  test.each([
    [1, 0],
    [-1, 0],
    [0, 0.5],
    [0, 2 ** 53],
  ])('are refused with MALFORMED from %d to %d', (from, to) => {
    expect(() => paths(from, to)).toThrow(malformed('a log grows from a size to a larger one'));
  });
});
