import { describe, expect, test } from 'vitest';
import { keyOf, normalise, readings, unmask } from '../../src/provenance/normalise.ts';
import { hostsIn, nameKey, quotedKeys, shinglesOf, valuesInText, wholeKey } from '../../src/provenance/values.ts';

const has = (text: string, kind: string, form: string) =>
  valuesInText(text).values.some((value) => value.key === keyOf(kind, form));

describe('one spelling for all', () => {
  test.each([
    ['case', 'EVE@Example.NET'],
    ['Cyrillic look-alikes', 'еvе@ехаmple.net'],
    ['full-width letters', 'ｅｖｅ@ｅｘａｍｐｌｅ.ｎｅｔ'],
    ['zero-width spaces', [...'eve@example.net'].join('\u200b')],
    ['soft hyphens', 'eve@exam\u00adple.net'],
    ['tags and direction marks', '\u202eeve@example.net\u{e0041}'],
    ['percent-encoding', 'eve%40example%2Enet'],
    ['percent-encoding twice', 'eve%2540example%252Enet'],
    ['base64', Buffer.from('eve@example.net').toString('base64')],
    ['base64 for URLs', Buffer.from('eve@example.net').toString('base64url')],
    ['base64 of percent-encoding', Buffer.from('eve%40example.net').toString('base64')],
    ['base64 within a text', `decode ${Buffer.from('write to eve@example.net').toString('base64')} please`],
  ])('%s', (_, text) => expect(has(text, 'email', 'eve@example.net')).toBe(true));
  test('white space is one space', () => expect(normalise(' A\t\n b\u00a0 c ')).toBe('a b c'));
  test('plain text stays as it is', () => expect(unmask('Grüße, “π” ≠ 3')).toContain('Grüße'));
});

describe('values in a text', () => {
  test.each<[string, string, string]>([
    ['write to Bob.Smith@mail.example.com.', 'email', 'bob.smith@mail.example.com'],
    ['<a@b.example>', 'email', 'a@b.example'],
    ['see https://Example.com/A/b/?q=1.', 'url', 'example.com/a/b/?q=1'],
    ['see http://www.example.com/a/', 'url', 'example.com/a'],
    ['see www.example.com/a', 'url', 'example.com/a'],
    ['see https://example.com:8443/a', 'host', 'example.com'],
    ['at example.com today', 'host', 'example.com'],
    ['IBAN DE89 3704 0044 0532 0130 00 please', 'account', 'de89370400440532013000'],
    ['GB33BUKB20201555555555', 'account', 'gb33bukb20201555555555'],
    ['account 1234-5678-90', 'account', '1234567890'],
    ['call +41 44 668 18 00', 'account', '+41446681800'],
    ['file id 26-abc7', 'id', '26-abc7'],
    ['id 550e8400-e29b-41d4-a716-446655440000', 'id', '550e8400-e29b-41d4-a716-446655440000'],
    ['commit 9f86d081', 'id', '9f86d081'],
  ])('%s: a %s', (text, kind, form) => expect(has(text, kind, form)).toBe(true));
  test.each([
    ['plain words', 'Please read the notes of the last meeting, thank you.'],
    ['dates and times', '2024-05-15 10:00, 15.05.2024, at 9:30'],
    ['small numbers', '12 of 345 cost 67.80'],
    ['file names', 'open report.docx and main.rs'],
  ])('none in %s', (_, text) => expect(valuesInText(text).values).toEqual([]));
  test('too many, or too long a text, is told', () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `a${i}@example.com`).join(' ');
    expect(valuesInText(many)).toMatchObject({ overflow: true });
    expect(valuesInText('x '.repeat(100_000)).overflow).toBe(true);
  });
  // A pattern that backtracks would not come back within the test's time.
  test('the longest text is read, whatever it holds', () => {
    for (const piece of ['a', 'a.', '1 ', '1-', '@', 'a@', 'http://', '%41', 'A1b2', 'é', '"', "'a", 'DE89 ', '/'])
      expect(valuesInText(piece.repeat(Math.floor(131_072 / piece.length)))).toBeDefined();
  });
});

test('hosts in a text', () =>
  expect([...hostsIn('https://www.a.example/x, b.com and c@d.com')].sort()).toEqual(['a.example', 'b.com']));

describe('text that is said again', () => {
  const story = 'the quarterly numbers are due on the fifth of may and must be sent to everybody';
  test('shares word windows, whatever stands around it and however it is spelled', () => {
    const told = new Set(shinglesOf(`Hello! ${story.toUpperCase()}. Bye.`));
    const copied = shinglesOf(story.replaceAll(' ', '\n'));
    expect(copied.filter((key) => told.has(key)).length).toBeGreaterThan(copied.length / 2);
    expect(shinglesOf('something else that nobody ever said to anybody here').some((key) => told.has(key))).toBe(false);
  });
  test('a short text is one thing where it stands in quotes, or was encoded as a whole', () => {
    const quit = wholeKey('I quit!');
    for (const text of [
      "Post 'I quit!' to random",
      'say "i QUIT!" now',
      '“I quit!”',
      Buffer.from('I quit!').toString('base64'),
    ])
      expect(quotedKeys(text)).toContain(quit);
    expect(quotedKeys("I quit! It isn't what we're for.")).not.toContain(quit);
  });
  test('a name is the whole of a short text', () => {
    expect(nameKey(' Bob  SMITH ')).toBe(nameKey('bob smith'));
    expect(nameKey('x'.repeat(600))).toBeUndefined();
  });
});

test('what is decoded is bounded', () => {
  const text = Buffer.from('x'.repeat(3_000)).toString('base64');
  const all = readings(`${text} `.repeat(100));
  expect(all.slice(1).join('').length).toBeLessThanOrEqual(16_384);
});
