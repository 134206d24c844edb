import { describe, expect, test } from 'vitest';
import {
  formatNote,
  formatVkey,
  generateSigningKey,
  MAX_NOTE_BYTES,
  NOTE_COSIGNATURE,
  NOTE_ED25519,
  type Note,
  noteKey,
  noteVerifierKey,
  parseNote,
  parseSignatureLines,
  parseVkey,
  signingKeyFromSeed,
  signNote,
  verifyNote,
} from '../src/index.ts';

/** The example of golang.org/x/mod/sumdb/note. */
const goVkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const goSigner = 'AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz';
const goText = `If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n`;
const goNote = `${goText}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;
const goKey = parseVkey(goVkey, NOTE_ED25519);
const goSigningKey = signingKeyFromSeed(Buffer.from(goSigner, 'base64').subarray(1).toString('base64url'));

const refused = (code: string, message: string | RegExp) =>
  expect.objectContaining({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) });

describe('a verifier key', () => {
  test.each([
    // C2SP signed-note's example, and keys of public logs and witnesses.
    ['example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k', NOTE_ED25519],
    ['EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop', NOTE_ED25519],
    ['TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6', NOTE_ED25519],
    ['remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2', NOTE_COSIGNATURE],
    [goVkey, NOTE_ED25519],
  ] as const)('is read and written again: %s', (vkey, type) => {
    expect(formatVkey(parseVkey(vkey, type))).toBe(vkey);
  });

  test('is the text that the Go checksum database publishes for its key', () => {
    const raw = Buffer.from('Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8', 'base64').subarray(1);
    expect(noteVerifierKey('sum.golang.org', raw.toString('base64url'))).toBe(
      'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
    );
  });

  test.each(['', 'a b', 'a+b', 'a\n', 'a\u00a0b', 'a\u0085b', '\ud800'])(
    'is refused with MALFORMED for the name %j',
    (name) => {
      const { publicKey } = goSigningKey;
      expect(() => noteVerifierKey(name, publicKey)).toThrow(
        refused('MALFORMED', 'the name of a note key may hold neither a space nor a plus'),
      );
    },
  );

  test('is refused with BAD_KEY when anything is missing, changed or of another type', () => {
    for (let from = 0; from < goVkey.length; from++) {
      for (let to = from + 1; to <= goVkey.length; to++) {
        if (to - from < goVkey.length) {
          expect(() => parseVkey(goVkey.slice(from, to), NOTE_ED25519)).toThrow(refused('BAD_KEY', /./));
        }
      }
      const changed = String.fromCharCode(goVkey.charCodeAt(from) + 1);
      const other = goVkey.slice(0, from) + changed + goVkey.slice(from + 1);
      expect(() => parseVkey(other, NOTE_ED25519)).toThrow(refused('BAD_KEY', /./));
    }
    expect(() => parseVkey(goVkey, NOTE_COSIGNATURE)).toThrow(
      refused('BAD_KEY', 'the verifier key is of type 1, not 4'),
    );
    expect(() => parseVkey(goVkey.replace('c74f20a3', 'C74F20A3'), NOTE_ED25519)).toThrow(refused('BAD_KEY', /hex/));
    expect(() => parseVkey(goVkey.replace('c74f20a3', 'c74f20a4'), NOTE_ED25519)).toThrow(
      refused('BAD_KEY', "the verifier key's id is c74f20a3, not c74f20a4"),
    );
  });
});

describe('a note', () => {
  test('of the Go documentation is read, verified and made again byte for byte', () => {
    const note = parseNote(Buffer.from(goNote));
    expect(note.text).toBe(goText);
    expect(verifyNote(note, [goKey])).toEqual({ ok: true, signers: [goKey] });
    const signature = signNote(goText, { name: 'PeterNeumann', key: goSigningKey });
    expect(formatNote({ text: goText, signatures: [signature] })).toBe(goNote);
  });

  test('keeps blank lines in its text', () => {
    const note = { text: 'a\n\nb\n\n\n', signatures: parseNote(goNote).signatures };
    expect(parseNote(formatNote(note)).text).toBe(note.text);
  });

  test('is refused with MALFORMED when cut anywhere', () => {
    for (let end = 0; end < Buffer.byteLength(goNote); end++) {
      expect(() => parseNote(Buffer.from(goNote).subarray(0, end))).toThrow(refused('MALFORMED', /./));
    }
  });

  const line = goNote.slice(goText.length + 1);
  test.each([
    ['a carriage return', goNote.replace('\n', '\r\n'), 'the note holds a control character'],
    ['a tab', goNote.replace(' ', '\t'), 'the note holds a control character'],
    ['no signature', `${goText}\n`, 'the signatures do not end in a newline'],
    ['no blank line', goNote.replace('\n\n', '\n'), 'the note has no blank line before its signatures'],
    ['a line after the signatures', `${goNote}x\n`, 'a signature line is not "— <name> <base64>"'],
    ['a hyphen for the dash', goNote.replace('—', '-'), 'a signature line is not "— <name> <base64>"'],
    ['two spaces', goNote.replace('— ', '—  '), 'a signature line is not "— <name> <base64>"'],
    ['a name with a plus', goNote.replace('— P', '— +P'), 'a signature line names no key'],
    ['base64 without padding', goNote.replace('=\n', '\n'), 'a signature is not canonical base64'],
    ['base64 with a bit that no byte holds', goNote.replace('M=\n', 'N=\n'), 'a signature is not canonical base64'],
    ['base64url', goNote.replaceAll('/', '_'), 'a signature is not canonical base64'],
    ['a signature of four bytes', `${goText}\n— a AAAAAA==\n`, 'a signature is too short for its key id'],
    ['a lone surrogate', goNote.replace('If', '\ud800'), 'the note holds a lone surrogate'],
  ])('is refused with MALFORMED for %s', (_, note, message) => {
    expect(() => parseNote(note)).toThrow(refused('MALFORMED', message));
  });

  test('is refused with MALFORMED for bytes that are not UTF-8', () => {
    const bytes = Buffer.from(goNote);
    bytes[0] = 0xff;
    expect(() => parseNote(bytes)).toThrow(refused('MALFORMED', 'the note is not UTF-8'));
  });

  test('is refused with TOO_LARGE beyond 262,144 bytes or 64 signatures', () => {
    const most = `${'x'.repeat(MAX_NOTE_BYTES - goNote.length - 2)}${goNote}`;
    expect(Buffer.byteLength(most)).toBe(MAX_NOTE_BYTES);
    expect(parseNote(most).signatures).toHaveLength(1);
    expect(() => parseNote(`x${most}`)).toThrow(refused('TOO_LARGE', 'the note is more than 262144 bytes'));
    expect(parseNote(goNote + line.repeat(63)).signatures).toHaveLength(64);
    expect(() => parseNote(goNote + line.repeat(64))).toThrow(refused('TOO_LARGE', 'a note has at most 64 signatures'));
  });

  test('is not made from parts that would read otherwise', () => {
    const [signature] = parseNote(goNote).signatures;
    if (!signature) expect.fail('no signature');
    for (const part of [{ name: 'a b' }, { name: 'a\n— b' }, { id: 'C74F20A3' }, { bytes: Buffer.alloc(0) }]) {
      expect(() => formatNote({ text: 'a\n', signatures: [{ ...signature, ...part }] })).toThrow(
        refused('MALFORMED', /./),
      );
    }
    for (const note of [
      { text: 'a', signatures: [signature] },
      { text: 'a\n', signatures: [] },
    ]) {
      expect(() => formatNote(note)).toThrow(refused('MALFORMED', /./));
    }
    expect(() => parseSignatureLines('')).toThrow(refused('MALFORMED', 'the signatures do not end in a newline'));
  });
});

describe('the signatures of a note', () => {
  const [peter, enoch] = ['peter', 'enoch'].map((name) => ({ name, key: generateSigningKey() })) as [Signer, Signer];
  type Signer = { name: string; key: ReturnType<typeof generateSigningKey> };
  const keyOf = ({ name, key }: Signer) => noteKey({ name, type: NOTE_ED25519, publicKey: key.publicKey });
  const signed = (text: string, ...signers: Signer[]): Note => ({
    text,
    signatures: signers.map((each) => signNote(text, each)),
  });

  test('count where the key is trusted, and are passed over where it is not', () => {
    expect(verifyNote(signed('a\n', peter, enoch), [keyOf(enoch)])).toMatchObject({
      ok: true,
      signers: [{ name: 'enoch' }],
    });
    expect(verifyNote(signed('a\n', enoch, enoch, peter), [keyOf(peter)])).toMatchObject({ ok: true });
    expect(verifyNote(signed('a\n', enoch), [keyOf(peter)])).toEqual({
      ok: false,
      code: 'UNKNOWN_KEY',
      reason: 'no trusted key signed the note',
    });
    expect(verifyNote(signed('a\n', enoch), [])).toMatchObject({ code: 'UNKNOWN_KEY' });
    // The same key under another name, and another key under the same name, are other keys.
    expect(verifyNote(signed('a\n', enoch), [keyOf({ ...enoch, name: 'peter' })])).toMatchObject({
      code: 'UNKNOWN_KEY',
    });
    expect(verifyNote(signed('a\n', { ...enoch, name: 'peter' }), [keyOf(peter)])).toMatchObject({
      code: 'UNKNOWN_KEY',
    });
  });

  test('spoil the note where a trusted key signed another text, though another trusted key signed this one', () => {
    const { signatures } = signed('b\n', peter);
    const note = { text: 'a\n', signatures: [...signed('a\n', enoch).signatures, ...signatures] };
    expect(verifyNote(note, [keyOf(enoch), keyOf(peter)])).toEqual({
      ok: false,
      code: 'BAD_SIGNATURE',
      reason: `the signature of peter+${keyOf(peter).id} is wrong`,
    });
  });

  test('spoil the note where a trusted key stands twice', () => {
    expect(verifyNote(signed('a\n', peter, peter), [keyOf(peter)])).toEqual({
      ok: false,
      code: 'REPEATED_SIGNATURE',
      reason: `the note has two signatures of peter+${keyOf(peter).id}`,
    });
  });

  test('of a witness key do not pass for those of a log', () => {
    const witness = noteKey({ name: 'peter', type: NOTE_COSIGNATURE, publicKey: peter.key.publicKey });
    const [signature] = signed('a\n', peter).signatures;
    if (!signature) expect.fail('no signature');
    const note = { text: 'a\n', signatures: [{ ...signature, id: witness.id }] };
    expect(verifyNote(note, [witness])).toMatchObject({ code: 'BAD_SIGNATURE' });
  });
});
