import { describe, expect, test } from 'vitest';
import {
  createAppender,
  formatAddCheckpoint,
  formatNote,
  formatProof,
  generateSigningKey,
  inclusionProof,
  leafHash,
  NOTE_ED25519,
  noteKey,
  parseAddCheckpoint,
  parseNote,
  parseProof,
  sha256,
  signCheckpoint,
  signCosignature,
  tilePath,
  verifyProof,
  witnessPolicy,
  witnessVerifierKey,
} from '../src/index.ts';

const log = { origin: 'log.example/a', key: generateSigningKey() };
const witness = { name: 'w1', key: generateSigningKey() };
const size = 9;
const leaves = Array.from({ length: size }, (_, i) => leafHash(`leaf ${i}`));
const appender = createAppender();
for (const leaf of leaves) appender.push(leaf);
const tiles = new Map(appender.takeTiles().map(({ tile, bytes }) => [tilePath(tile), bytes]));
const readTile = (path: string) => tiles.get(path) ?? expect.fail(`no ${path}`);
const signed = parseNote(signCheckpoint({ origin: log.origin, size, root: appender.root() }, log.key));
const cosignature = signCosignature(signed.text, { ...witness, time: 1_700_000_000 });
const checkpoint = formatNote({ ...signed, signatures: [...signed.signatures, cosignature] });

const index = 5;
const path = inclusionProof({ index, size, readTile });
const proof = { index, path, checkpoint };
const text = formatProof(proof);
const trust = {
  leafHash: leaves[index] as Uint8Array,
  origin: log.origin,
  keys: [noteKey({ name: log.origin, type: NOTE_ED25519, publicKey: log.key.publicKey })],
  witnesses: witnessPolicy({ vkeys: [witnessVerifierKey('w1', witness.key.publicKey)], quorum: 1 }),
};

describe('a proof', () => {
  test('is written as C2SP tlog-proof says, and comes back', () => {
    const extra = Buffer.from('more');
    const lines = path.map((hash) => Buffer.from(hash).toString('base64'));
    expect(text).toBe(`c2sp.org/tlog-proof@v1\nindex 5\n${lines.join('\n')}\n\n${checkpoint}`);
    expect(parseProof(text)).toEqual(proof);
    expect(formatProof({ ...proof, extra })).toBe(text.replace('index', 'extra bW9yZQ==\nindex'));
    expect(parseProof(Buffer.from(formatProof({ ...proof, extra })))).toEqual({ ...proof, extra });
    expect(parseProof(formatProof({ ...proof, path: [] })).path).toEqual([]);
  });

  test('verifies for its leaf, its log and its witnesses', () => {
    expect(verifyProof(text, trust)).toMatchObject({
      ok: true,
      proof: { index },
      checkpoint: { size },
      cosignatures: [{ time: 1_700_000_000 }],
    });
    expect(verifyProof(text, { ...trust, witnesses: undefined })).toMatchObject({ ok: true, cosignatures: [] });
  });

  test.each([
    ['BAD_PATH', 'another leaf', text, { leafHash: leaves[4] as Uint8Array }],
    ['BAD_PATH', 'another index', text.replace('index 5', 'index 4'), {}],
    ['BAD_PATH', 'an index beyond', text.replace('index 5', 'index 9'), {}],
    ['BAD_PATH', 'a missing hash', formatProof({ ...proof, path: path.slice(1) }), {}],
    ['WRONG_ORIGIN', 'another origin', text, { origin: 'log.example/b' }],
    ['UNKNOWN_KEY', 'no key', text, { keys: [] }],
    ['BAD_SIGNATURE', 'another size', text.replace('\n9\n', '\n8\n'), {}],
    ['TOO_FEW_WITNESSES', 'no cosignature', formatProof({ ...proof, checkpoint: formatNote(signed) }), {}],
  ])('is refused with %s for %s', (code, _, changed, part) => {
    expect(verifyProof(changed, { ...trust, ...part })).toMatchObject({ ok: false, code });
  });

  test('is refused with MALFORMED when cut anywhere', () => {
    const bytes = Buffer.from(text);
    // A cut after the log's own line leaves a whole proof, but no witness.
    const whole = Buffer.byteLength(formatProof({ ...proof, checkpoint: formatNote(signed) }));
    for (let end = 0; end < bytes.length; end++) {
      const code = end === whole ? 'TOO_FEW_WITNESSES' : 'MALFORMED';
      expect(verifyProof(bytes.subarray(0, end), trust)).toMatchObject({ ok: false, code });
    }
  });

  test.each([
    ['another version', text.replace('@v1', '@v2'), 'the proof is not one of c2sp.org/tlog-proof@v1'],
    ['a leading zero', text.replace('index 5', 'index 05'), 'the index is not a decimal number of 0 to 2^53 - 1'],
    ['no index', text.replace('index', 'place'), 'the proof does not say "index <number>"'],
    ['empty extra data', text.replace('index', 'extra \nindex'), 'the proof does not say "index <number>"'],
    ['extra data without padding', text.replace('index', 'extra YQ\nindex'), 'the extra data is not canonical base64'],
    ['a carriage return', text.replace('5\n', '5\r\n'), 'the proof does not say "index <number>"'],
    [
      'a hash of 31 bytes',
      formatProof({ ...proof, path: [] }).replace('5\n', `5\n${'A'.repeat(42)}==\n`),
      'hash 0 is not a hash of 32 bytes',
    ],
  ])('is refused with MALFORMED for %s', (_, changed, message) => {
    expect(() => parseProof(changed)).toThrow(expect.objectContaining({ code: 'MALFORMED', message }));
  });

  test('has at most 63 hashes and 524,288 bytes', () => {
    expect(parseProof(formatProof({ ...proof, path: Array(63).fill(leaves[0]) })).path).toHaveLength(63);
    expect(() => formatProof({ ...proof, path: Array(64).fill(leaves[0]) })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'a proof has at most 63 hashes' }),
    );
    expect(() => formatProof({ ...proof, extra: Buffer.alloc(400_000) })).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE', message: 'the proof is more than 524288 bytes' }),
    );
    expect(() => formatProof({ ...proof, extra: Buffer.alloc(0) })).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    );
  });
});

describe('the request of add-checkpoint', () => {
  const request = { oldSize: 3, proof: path, checkpoint };
  const body = formatAddCheckpoint(request);

  test('of the example of C2SP tlog-witness is read and made again byte for byte', () => {
    const example = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;
    const read = parseAddCheckpoint(Buffer.from(example));
    expect(read).toMatchObject({ oldSize: 20_852_014, proof: { length: 4 } });
    expect(formatAddCheckpoint(read)).toBe(example);
  });

  test('comes back, with a proof and without', () => {
    expect(parseAddCheckpoint(body)).toEqual(request);
    const first = { oldSize: 0, proof: [], checkpoint };
    expect(formatAddCheckpoint(first)).toBe(`old 0\n\n${checkpoint}`);
    expect(parseAddCheckpoint(formatAddCheckpoint(first))).toEqual(first);
  });

  test('is refused with MALFORMED when cut anywhere but between two signatures', () => {
    const bytes = Buffer.from(body);
    const whole = Buffer.byteLength(formatAddCheckpoint({ ...request, checkpoint: formatNote(signed) }));
    for (let end = 0; end < bytes.length; end++) {
      if (end === whole) continue;
      expect(() => parseAddCheckpoint(bytes.subarray(0, end))).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    }
  });

  test.each([
    ['a leading zero', body.replace('old 3', 'old 03'), 'the old size is not a decimal number of 0 to 2^53 - 1'],
    ['a size beyond', body.replace('old 3', `old ${2 ** 53}`), 'the old size is not a decimal number of 0 to 2^53 - 1'],
    ['no size', body.replace('old 3', 'old'), 'the request does not begin with "old <size>"'],
    ['a carriage return', body.replace('\n', '\r\n'), 'the request does not begin with "old <size>"'],
    ['no blank line', body.replace('\n\n', '\n'), 'hash 4 is not canonical base64'],
    ['two blank lines', body.replace('\n\n', '\n\n\n'), 'the tree size is not a decimal number of 0 to 2^53 - 1'],
    ['a short hash', body.replace('\n', '\nAAAA\n'), 'hash 0 is not a hash of 32 bytes'],
    [
      'a hash with a bit that no byte holds',
      body.replace('\n', `\n${'A'.repeat(42)}B=\n`),
      'hash 0 is not canonical base64',
    ],
    [
      '64 hashes',
      body.replace('\n', `\n${`${sha256('').toString('base64')}\n`.repeat(60)}`),
      'a proof has at most 63 hashes',
    ],
    ['no checkpoint', 'old 0\n\n', 'the note has no blank line before its signatures'],
  ])('is refused with MALFORMED for %s', (_, changed, message) => {
    expect(() => parseAddCheckpoint(changed)).toThrow(expect.objectContaining({ code: 'MALFORMED', message }));
  });

  test('is refused with TOO_LARGE beyond its bound', () => {
    expect(() => parseAddCheckpoint(Buffer.alloc(266_241))).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE', message: 'the request is more than 266240 bytes' }),
    );
  });
});
