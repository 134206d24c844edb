import { describe, expect, test, vi } from 'vitest';
import {
  createVerifier,
  encodeEntries,
  NOTE_ED25519,
  parseNote,
  parseVkey,
  signCheckpoint,
  TILE_WIDTH,
  witnessPolicy,
  witnessVerifierKey,
} from '../../src/index.ts';
import { keyOf } from '../sample.ts';
import { checkpointOf, type Files, makeLog, origin, publish, readerOf, signersOf, vkeysOf } from './log-maker.ts';
import { trustOf, verify } from './trust.ts';

vi.setConfig({ testTimeout: 60_000 });

const log = makeLog(3, 1_000);
const { keys } = log.deployment;
const bytesOf = (path: string): Buffer => Buffer.from(log.files.get(path) ?? expect.fail(`no ${path}`));
const withFile = (path: string, bytes: Uint8Array | undefined): Files => {
  const files = new Map(log.files);
  if (bytes) files.set(path, bytes);
  else files.delete(path);
  return files;
};
const flip = (bytes: Buffer, at: number): Buffer => {
  bytes[at] = (bytes[at] as number) ^ 1;
  return bytes;
};
/** A bundle in which the entries are others, under the tiles as they were. */
const bundled = (index: number, change: (entries: Buffer[]) => Buffer[]): Files => {
  const entries = log.entries.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH).map((text) => Buffer.from(text));
  return withFile(`tile/entries/00${index}`, encodeEntries(change(entries)));
};
const codesOf = (findings: readonly { code: string; index?: number }[]) =>
  findings.map(({ code, index }) => [code, index]);

describe('a good log', () => {
  test.each([0, 1, 6, 7, 255, 256, 257, 512, 3_000])('of %i entries is found good', async (size) => {
    const made = makeLog(size, size);
    const verdict = await verify(made);
    expect(verdict.findings).toEqual([]);
    expect(verdict).toMatchObject({ ok: true, total: 0, checkpoint: { origin, size }, entries: { sealed: size } });
  });

  test('is told with its times, keys, producers and witnesses', async () => {
    const { entries, keys: recorded, cosignatures, keyAuthority } = await verify(log);
    const times = log.entries.map((text) => Date.parse((JSON.parse(text) as { event: { time: string } }).event.time));
    expect(entries).toMatchObject({ sealed: 1_000, from: Math.min(...times), to: Math.max(...times) });
    expect(entries.keys.reduce((sum, key) => sum + key.entries, 0)).toBe(1_000);
    expect(recorded.map(({ service }) => service)).toContain('deployment');
    expect(cosignatures).toEqual([
      { witness: expect.objectContaining({ name: 'witness.example/w1' }), time: Math.ceil(log.at / 1000) },
    ]);
    expect(keyAuthority).toBe('deployment');
  });

  test('is read bundle by bundle, and says how far it is', async () => {
    const told: number[] = [];
    await verify(log, { onProgress: ({ entries, size }) => told.push(entries / size) });
    expect(told).toEqual([0.256, 0.512, 0.768, 1]);
  });

  test('is found good where its partial tiles went once the full ones were there', async () => {
    const older = publish(log.entries.slice(0, 700), signersOf(log.deployment, log.at));
    const files = new Map([...log.files, ['checkpoint', older.get('checkpoint') as Uint8Array]]);
    expect(files.has('tile/0/002.p/188')).toBe(false);
    expect(await verify(log, { files })).toMatchObject({ ok: true, checkpoint: { size: 700 } });
  });
});

describe('files that were tampered with', () => {
  test.each<[string, () => Files, [string, number | undefined][], string]>([
    [
      'a byte of an entry',
      () => bundled(1, (entries) => entries.with(7, flip(entries[7] as Buffer, 20))),
      [['ENTRY_CHANGED', 263]],
      'entry 263 was changed after it was sequenced',
    ],
    [
      'an entry taken out',
      () => bundled(1, (entries) => entries.toSpliced(7, 1)),
      [['ENTRY_MOVED', 263]],
      'entry 263 was removed or moved: in its place stands the one that was sequenced as 264',
    ],
    [
      'the last entry of a bundle taken out',
      () => bundled(1, (entries) => entries.slice(0, -1)),
      [['ENTRY_MOVED', 511]],
      'entry 511 is not where it was sequenced',
    ],
    [
      'an entry put in',
      () => bundled(1, (entries) => entries.toSpliced(7, 0, Buffer.from('{}')).slice(0, 256)),
      [['ENTRY_INSERTED', 263]],
      'an entry was put in at 263 after the log was sequenced',
    ],
    [
      'two entries exchanged',
      () => bundled(1, (entries) => entries.with(7, entries[9] as Buffer).with(9, entries[7] as Buffer)),
      [['ENTRY_MOVED', 263]],
      'entry 263 was removed or moved: in its place stands the one that was sequenced as 265',
    ],
    [
      'no bundle',
      () => withFile('tile/entries/001', undefined),
      [['FILE_MISSING', 256]],
      'entries 256 to 511 are missing',
    ],
    [
      'an empty bundle',
      () => withFile('tile/entries/001', Buffer.alloc(0)),
      [['ENTRY_MOVED', 256]],
      'entry 256 is not where it was sequenced',
    ],
    [
      'a bundle with more behind it',
      () => withFile('tile/entries/001', Buffer.concat([bytesOf('tile/entries/001'), Buffer.alloc(9)])),
      [['ENTRY_MOVED', 511]],
      'entry 511 is not where it was sequenced',
    ],
    [
      'a hash in a full tile',
      () => withFile('tile/0/001', flip(bytesOf('tile/0/001'), 99)),
      [['TILE_CHANGED', undefined]],
      'tile/0/001 was changed',
    ],
    ['no full tile', () => withFile('tile/0/001', undefined), [['FILE_MISSING', undefined]], 'tile/0/001 is missing'],
    [
      'a hash in the partial tile of level 0',
      () => withFile('tile/0/003.p/232', flip(bytesOf('tile/0/003.p/232'), 99)),
      [['TILE_CHANGED', undefined]],
      'tile/0/003.p/232 was changed',
    ],
    [
      'a hash in the partial tile of level 1',
      () => withFile('tile/1/000.p/3', flip(bytesOf('tile/1/000.p/3'), 70)),
      [['TILE_CHANGED', undefined]],
      'tile/1/000.p/3 was changed',
    ],
    [
      'a partial tile of another width',
      () => withFile('tile/1/000.p/3', bytesOf('tile/1/000.p/3').subarray(0, 64)),
      [['TILE_CHANGED', undefined]],
      'tile/1/000.p/3 was changed',
    ],
    [
      'a tile that is too large',
      () => withFile('tile/0/001', Buffer.alloc(100_000)),
      [['TILE_CHANGED', undefined]],
      'tile/0/001 was changed',
    ],
  ])('are found with %s', async (_, files, codes, what) => {
    const verdict = await verify(log, { files: files() });
    // Chains break where an entry was passed over: that follows from the first finding.
    const first = verdict.findings.filter(({ code }) => code !== 'HOLE');
    expect(codesOf(first)).toEqual(codes);
    expect(first[0]?.what).toBe(what);
    expect(verdict.ok).toBe(false);
  });

  test('say what still holds', async () => {
    const { firstBadIndex, holds } = await verify(log, { files: withFile('tile/entries/001', undefined) });
    expect(firstBadIndex).toBe(256);
    expect(holds).toEqual([
      `The checkpoint of 1000 entries is signed by ${origin}, and cosigned by witness.example/w1.`,
      'Entries 0 to 255 are what that checkpoint was signed over, each at its place.',
      'Entries 0 to 255 bear their producers’ seals and follow one from another.',
    ]);
  });

  test('are found at the entry where both the entry and its hash were changed', async () => {
    const forged = log.entries.with(300, (log.entries[300] as string).replace('demo', 'dema'));
    const files = publish(forged, signersOf(log.deployment, log.at));
    files.set('checkpoint', bytesOf('checkpoint'));
    const { findings } = await verify(log, { files });
    expect(findings.find(({ index }) => index !== undefined && index > 0)).toMatchObject({
      code: 'BAD_SEAL',
      index: 300,
    });
    expect(findings.length).toBeGreaterThan(1);
  });
});

describe('a checkpoint', () => {
  const withNote = (note: string | Uint8Array): Files => withFile('checkpoint', Buffer.from(note));
  const tree = {
    size: 1_000,
    root: Buffer.from(parseNote(bytesOf('checkpoint')).text.split('\n')[2] as string, 'base64'),
  };
  const signers = signersOf(log.deployment, log.at);

  test.each<[string, () => Files, string, string]>([
    ['that is missing', () => withFile('checkpoint', undefined), 'NO_CHECKPOINT', 'the file checkpoint is missing'],
    ['that is no note', () => withNote('hello'), 'BAD_CHECKPOINT', 'the note has no blank line before its signatures'],
    [
      'that is too large',
      () => withNote(Buffer.alloc(300_000)),
      'BAD_CHECKPOINT',
      'the note is more than 262144 bytes',
    ],
    [
      'of another key',
      () => withNote(checkpointOf(tree, { ...signers, log: keyOf(9) })),
      'BAD_CHECKPOINT',
      'no trusted key signed the note',
    ],
    [
      'of another log',
      () => withNote(signCheckpoint({ origin: 'log.example/other', ...tree }, keys.log)),
      'BAD_CHECKPOINT',
      'no trusted key signed the note',
    ],
    [
      'without its witness',
      () => withNote(checkpointOf(tree, { ...signers, witness: undefined })),
      'NOT_WITNESSED',
      '0 witnesses cosigned, 1 must',
    ],
    [
      'of another witness of that name',
      () => withNote(checkpointOf(tree, { ...signers, witness: { name: 'witness.example/w1', key: keyOf(9) } })),
      'NOT_WITNESSED',
      '0 witnesses cosigned, 1 must',
    ],
    [
      'over other entries',
      () => withNote(checkpointOf({ size: 1_000, root: Buffer.alloc(32) }, signers)),
      'ROOT_MISMATCH',
      'the tiles of 1000 entries do not lead to the root that the checkpoint names',
    ],
  ])('%s is refused', async (_, files, code, reason) => {
    const verdict = await verify(log, { files: files() });
    expect(verdict.ok).toBe(false);
    expect(verdict.findings[0]).toMatchObject({ code, reason });
  });

  test('of 2^53 - 1 entries that are not there ends the search soon', async () => {
    let reads = 0;
    const files = withNote(checkpointOf({ size: Number.MAX_SAFE_INTEGER, root: Buffer.alloc(32) }, signers));
    const read = readerOf(files);
    const counted = (path: string, maxBytes: number) => {
      reads += 1;
      return read(path, maxBytes);
    };
    const verdict = await verify(log, { read: counted });
    expect(verdict.findings[0]).toMatchObject({ code: 'FILE_MISSING', reason: expect.stringContaining('under it') });
    expect(verdict.ok).toBe(false);
    expect(reads).toBeLessThan(200);
  });

  test('whose newest cosignature is too old is refused as stale, and else is not', async () => {
    const later = () => log.at + 700_000;
    const { ok, findings } = await verify(log, { now: later, maxAgeMs: 600_000 });
    expect({ ok, code: findings[0]?.code }).toEqual({ ok: false, code: 'STALE' });
    const earlier = await verify(log, { now: () => log.at - 700_000, maxAgeMs: 600_000 });
    expect(earlier.findings[0]?.code).toBe('STALE');
    expect(await verify(log, { now: later, maxAgeMs: 701_000 })).toMatchObject({ ok: true });
    expect(await verify(log, { now: later })).toMatchObject({ ok: true });
  });

  test('needs as many witnesses as the quorum says', async () => {
    const other = witnessVerifierKey('witness.example/w2', keyOf(8).publicKey);
    const policy = (quorum: number) => witnessPolicy({ vkeys: [vkeysOf(keys).witness, other], quorum });
    const trust = trustOf(log);
    expect(await verify(log, { trust: { ...trust, witnesses: policy(1) } })).toMatchObject({ ok: true });
    expect((await verify(log, { trust: { ...trust, witnesses: policy(2) } })).findings[0]?.code).toBe('NOT_WITNESSED');
  });
});

describe('what is remembered', () => {
  const at = (size: number) =>
    Buffer.from(
      publish(log.entries.slice(0, size), signersOf(log.deployment, log.at)).get('checkpoint') ?? [],
    ).toString();

  test.each([0, 1, 255, 256, 700, 999, 1_000])('as %i entries goes on to 1,000', async (size) => {
    expect((await verify(log, { remembered: at(size) })).findings).toEqual([]);
  });

  test('as more entries is a roll-back', async () => {
    const files = publish(log.entries.slice(0, 700), signersOf(log.deployment, log.at));
    const { ok, findings } = await verify(log, { files, remembered: at(1_000) });
    expect(ok).toBe(false);
    expect(findings[0]).toMatchObject({ code: 'ROLLED_BACK', index: 700, what: 'entries 700 to 999 are gone' });
  });

  test.each([700, 1_000])('as %i other entries is a fork', async (size) => {
    const other = log.entries.with(5, log.entries[6] as string);
    const note = publish(other.slice(0, size), signersOf(log.deployment, log.at)).get('checkpoint');
    const { ok, findings } = await verify(log, { remembered: Buffer.from(note ?? []).toString() });
    expect(ok).toBe(false);
    expect(codesOf(findings)).toEqual([['FORKED', undefined]]);
  });

  test('is no fork where a tile is only damaged', async () => {
    const files = withFile('tile/0/001', flip(bytesOf('tile/0/001'), 99));
    expect(codesOf((await verify(log, { files, remembered: at(300) })).findings)).toEqual([
      ['TILE_CHANGED', undefined],
    ]);
  });

  test('of another log is an error of whoever asks', async () => {
    await expect(
      verify(log, {
        remembered: signCheckpoint(
          { origin, size: 0, root: Buffer.from('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=', 'base64') },
          keyOf(9),
        ),
      }),
    ).rejects.toThrow(
      expect.objectContaining({
        code: 'MALFORMED',
        message: `what is remembered of ${origin}: no trusted key signed the note`,
      }),
    );
  });
});

test('what cannot be read is no verdict', async () => {
  const read = async (path: string, maxBytes: number) => {
    if (path === 'tile/entries/002') throw new Error('the disk failed');
    return readerOf(log.files)(path, maxBytes);
  };
  await expect(verify(log, { read })).rejects.toThrow('the disk failed');
});

test('structure alone passes over seals, and still finds a changed entry', async () => {
  const forged = log.entries.with(300, (log.entries[300] as string).replace('demo', 'dema'));
  const files = publish(forged, signersOf(log.deployment, log.at));
  expect(await verify(log, { files, seals: false })).toMatchObject({ ok: true, entries: { sealed: 0 } });
  const changed = bundled(1, (entries) => entries.with(7, flip(entries[7] as Buffer, 20)));
  expect((await verify(log, { files: changed, seals: false })).findings[0]).toMatchObject({
    code: 'ENTRY_CHANGED',
    index: 263,
  });
});

test('from an index on, what lies before is only held against the tree and read for keys', async () => {
  const forged = log.entries.with(300, (log.entries[300] as string).replace('demo', 'dema'));
  const files = publish(forged, signersOf(log.deployment, log.at));
  expect(await verify(log, { files, fromIndex: 301 })).toMatchObject({ ok: true, entries: { sealed: 699 } });
  expect((await verify(log, { files, fromIndex: 300 })).findings[0]).toMatchObject({ code: 'BAD_SEAL', index: 300 });
});

test('a deployment key that is none is refused at once', () => {
  const trust = { log: parseVkey(vkeysOf(keys).log, NOTE_ED25519), producers: { deploymentKey: 'x' } };
  expect(() => createVerifier({ trust, read: async () => undefined, now: Date.now })).toThrow(
    expect.objectContaining({ code: 'BAD_KEY' }),
  );
});
