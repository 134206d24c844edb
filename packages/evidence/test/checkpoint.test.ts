import { describe, expect, test } from 'vitest';
import {
  checkWitnesses,
  formatCheckpoint,
  formatNote,
  generateSigningKey,
  NOTE_ED25519,
  noteKey,
  parseCheckpoint,
  parseNote,
  parseVkey,
  sha256,
  signCheckpoint,
  signCosignature,
  signNote,
  verifyCheckpoint,
  verifyCosignature,
  witnessPolicy,
  witnessVerifierKey,
} from '../src/index.ts';

/** A checkpoint that a public log published, with the cosignatures of public witnesses. */
const published = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`;
const publishedOrigin = 'arche2025h1.staging.ct.transparency.dev';
const publishedKey = parseVkey(
  `${publishedOrigin}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f`,
  NOTE_ED25519,
);
const publicWitnesses = [
  'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
  'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
  'transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM',
  'witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO',
];

const root = sha256('root');
const base64 = root.toString('base64');
const log = { name: 'log.example/a', key: generateSigningKey() };
const logKey = noteKey({ name: log.name, type: NOTE_ED25519, publicKey: log.key.publicKey });
const signed = signCheckpoint({ origin: log.name, size: 7, root }, log.key);

describe('a checkpoint', () => {
  test('of a public log is read and verified with its cosignatures', () => {
    const verdict = verifyCheckpoint(published, { origin: publishedOrigin, keys: [publishedKey] });
    if (!verdict.ok) expect.fail(verdict.reason);
    expect(verdict.checkpoint.size).toBe(1_432_088_532);
    expect(formatCheckpoint(verdict.checkpoint)).toBe(verdict.note.text);
    expect(formatNote(verdict.note)).toBe(published);
    const witnesses = checkWitnesses(verdict.note, witnessPolicy({ vkeys: publicWitnesses, quorum: 4 }));
    if (!witnesses.ok) expect.fail(witnesses.reason);
    expect(witnesses.cosignatures.map(({ time }) => time)).toEqual(Array(4).fill(0x6a122120));
    const changed = verifyCheckpoint(published.replace('8532', '8533'), {
      origin: publishedOrigin,
      keys: [publishedKey],
    });
    expect(changed).toMatchObject({ code: 'BAD_SIGNATURE' });
  });

  test('comes back from its text, with extensions and without', () => {
    for (const extensions of [[], ['one', 'two 2']]) {
      const checkpoint = { origin: 'any line+at all', size: Number.MAX_SAFE_INTEGER, root, extensions };
      expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint);
    }
    const empty = { origin: 'a', size: 0, root: sha256(''), extensions: [] };
    expect(parseCheckpoint(formatCheckpoint(empty))).toEqual(empty);
  });

  test.each([
    ['a leading zero', `a\n07\n${base64}\n`, 'the tree size is not a decimal number of 0 to 2^53 - 1'],
    ['a sign', `a\n+7\n${base64}\n`, 'the tree size is not a decimal number of 0 to 2^53 - 1'],
    ['no size', `a\n\n${base64}\n`, 'the tree size is not a decimal number of 0 to 2^53 - 1'],
    ['a size beyond', `a\n9007199254740992\n${base64}\n`, 'the tree size is not a decimal number of 0 to 2^53 - 1'],
    ['no origin', `\n7\n${base64}\n`, 'the origin is not a line of text'],
    ['two lines', 'a\n7\n', 'the checkpoint has fewer than three lines'],
    ['no final newline', `a\n7\n${base64}`, 'the checkpoint does not end in a newline'],
    ['an empty extension', `a\n7\n${base64}\n\n`, 'an extension is not a line of text'],
    ['a short root', 'a\n7\nAAAA\n', 'the root is not a hash of 32 bytes'],
    ['a root without padding', `a\n7\n${base64.slice(0, -1)}\n`, 'the root is not canonical base64'],
    ['another root of no leaves', `a\n0\n${base64}\n`, 'the root is not that of an empty tree'],
  ])('is refused with MALFORMED for %s', (_, text, message) => {
    expect(() => parseCheckpoint(text)).toThrow(expect.objectContaining({ code: 'MALFORMED', message }));
  });

  test.each([
    { origin: '' },
    { origin: 'a\nb' },
    { size: 1.5 },
    { size: -1 },
    { root: root.subarray(1) },
    { extensions: [''] },
  ])('is not made with %j', (wrong) => {
    expect(() => formatCheckpoint({ origin: 'a', size: 1, root, ...wrong })).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    );
  });

  test('counts only for the log that was asked for, and under its key', () => {
    const trust = { origin: log.name, keys: [logKey] };
    expect(verifyCheckpoint(signed, trust)).toMatchObject({ ok: true, checkpoint: { size: 7 } });
    const text = formatCheckpoint({ origin: 'log.example/b', size: 7, root });
    const other = formatNote({ text, signatures: [signNote(text, log)] });
    expect(verifyCheckpoint(other, trust)).toEqual({
      ok: false,
      code: 'WRONG_ORIGIN',
      reason: 'the checkpoint is not one of log.example/a',
    });
    expect(verifyCheckpoint(signed, { ...trust, keys: [publishedKey] })).toMatchObject({ code: 'UNKNOWN_KEY' });
    expect(verifyCheckpoint('a\n', trust)).toMatchObject({ code: 'MALFORMED' });
    for (let end = 0; end < signed.length; end++) {
      expect(verifyCheckpoint(signed.slice(0, end), trust)).toMatchObject({ ok: false, code: 'MALFORMED' });
    }
  });
});

describe('cosignatures', () => {
  const signers = ['w1', 'w2', 'w3'].map((name) => ({ name, key: generateSigningKey() }));
  const vkeys = signers.map(({ name, key }) => witnessVerifierKey(name, key.publicKey));
  const policy = (quorum: number) => witnessPolicy({ vkeys, quorum });
  const { text, signatures } = parseNote(signed);
  const cosigned = (...names: string[]) => ({
    text,
    signatures: [
      ...signatures,
      ...signers
        .filter(({ name }) => names.includes(name))
        .map((each) => signCosignature(text, { ...each, time: 1_700_000_000 })),
    ],
  });

  test('of enough witnesses are counted with their times', () => {
    expect(checkWitnesses(cosigned('w1', 'w3'), policy(2))).toMatchObject({
      ok: true,
      cosignatures: [
        { witness: { name: 'w1' }, time: 1_700_000_000 },
        { witness: { name: 'w3' }, time: 1_700_000_000 },
      ],
    });
  });

  test('of too few witnesses, or of none that counts, are not enough', () => {
    expect(checkWitnesses(cosigned('w2'), policy(2))).toEqual({
      ok: false,
      code: 'TOO_FEW_WITNESSES',
      reason: '1 witnesses cosigned, 2 must',
    });
    expect(checkWitnesses(cosigned(), policy(1))).toMatchObject({ code: 'TOO_FEW_WITNESSES' });
    expect(checkWitnesses(cosigned('w1'), witnessPolicy({ vkeys: publicWitnesses, quorum: 1 }))).toMatchObject({
      code: 'TOO_FEW_WITNESSES',
    });
  });

  test('of one witness do not count twice', () => {
    const once = cosigned('w1');
    const again = signCosignature(text, { ...(signers[0] as (typeof signers)[0]), time: 1_700_000_001 });
    expect(checkWitnesses({ text, signatures: [...once.signatures, again] }, policy(2))).toMatchObject({
      code: 'REPEATED_SIGNATURE',
    });
    const [first, ...rest] = vkeys as [string, ...string[]];
    expect(() => witnessPolicy({ vkeys: [first, first], quorum: 1 })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'two witnesses have one name' }),
    );
    const renamed = witnessVerifierKey('w9', signers[0]?.key.publicKey as string);
    expect(() => witnessPolicy({ vkeys: [first, ...rest, renamed], quorum: 1 })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'two witnesses have one key' }),
    );
  });

  test('bind the text, the time and the witness', () => {
    const [witness, other] = policy(1).witnesses as [never, never];
    const signature = cosigned('w1').signatures[1] as { name: string; id: string; bytes: Uint8Array };
    expect(verifyCosignature(text, { signature, witness })).toMatchObject({ ok: true, time: 1_700_000_000 });
    expect(verifyCosignature(text.replace('7', '8'), { signature, witness })).toMatchObject({ code: 'BAD_SIGNATURE' });
    expect(verifyCosignature(text, { signature, witness: other })).toMatchObject({ code: 'BAD_SIGNATURE' });
    for (let at = 0; at < signature.bytes.length; at++) {
      const bytes = Uint8Array.from(signature.bytes);
      bytes[at] = (bytes[at] as number) ^ 1;
      expect(verifyCosignature(text, { signature: { ...signature, bytes }, witness })).toMatchObject({
        code: 'BAD_SIGNATURE',
      });
      const cut = { ...signature, bytes: signature.bytes.subarray(0, at) };
      expect(verifyCosignature(text, { signature: cut, witness })).toMatchObject({ code: 'BAD_SIGNATURE' });
    }
  });

  test('need a quorum of 1 to the number of witnesses, and keys of type 0x04', () => {
    for (const quorum of [0, 4, 1.5, Number.NaN]) {
      expect(() => policy(quorum)).toThrow(
        expect.objectContaining({ code: 'MALFORMED', message: 'the quorum is not 1 to 3, the number of witnesses' }),
      );
    }
    const vkey = `${publishedOrigin}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f`;
    expect(() => witnessPolicy({ vkeys: [vkey], quorum: 1 })).toThrow(
      expect.objectContaining({ code: 'BAD_KEY', message: 'the verifier key is of type 1, not 4' }),
    );
    expect(() => signCosignature(text, { ...log, time: 1.5 })).toThrow(
      expect.objectContaining({ code: 'MALFORMED', message: 'the time is not a whole number of 0 to 2^53 - 1' }),
    );
  });
});
