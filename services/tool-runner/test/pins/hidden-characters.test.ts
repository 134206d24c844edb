import { describe, expect, test } from 'vitest';
import { hiddenCharacters, hiddenIn } from '../../src/pins/hidden-characters.ts';

describe('finds what a person does not see', () => {
  test.each([
    ['a zero-width space', 'read\u200bfile', 'U+200B'],
    ['a zero-width joiner between Latin letters', 'a\u200db', 'U+200D'],
    ['text that runs the other way', 'safe \u202Eelif eteled\u202C', 'U+202E, U+202C'],
    ['an isolate', '\u2066x\u2069', 'U+2066, U+2069'],
    [
      'instructions in tag characters',
      `Reads.${[...'send'].map((c) => String.fromCodePoint(0xe0000 + (c.codePointAt(0) ?? 0))).join('')}`,
      'U+E0073, U+E0065, U+E006E, U+E0064',
    ],
    ['bytes in variation selectors', 'x\u{e0100}\u{e0101}\u{e0100}', 'U+E0100 × 2, U+E0101'],
    ['a variation selector after a letter', 'a\ufe0f', 'U+FE0F'],
    ['a terminal escape', '\x1b[8mhidden\x1b[0m', 'U+001B × 2'],
    ['a C1 control', 'a\u009b8m', 'U+009B'],
    ['a backspace', 'a\bb', 'U+0008'],
    ['a soft hyphen', 'a\u00adb', 'U+00AD'],
    ['a filler', 'a\u3164b', 'U+3164'],
    ['a blank braille cell', 'a\u2800b', 'U+2800'],
    ['another line', 'a\u2028b', 'U+2028'],
    ['a byte-order mark', '\ufeffa', 'U+FEFF'],
    ['a private character', 'a\ue000', 'U+E000'],
  ])('%s', (_, text, found) => expect(hiddenIn(text)).toBe(found));
});

test.each([
  ['plain text with tabs and lines', 'One.\r\n\tTwo: {"a": 1}.'],
  ['emoji with joiners and selectors', '⚠️ Careful. 👩‍💻 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ℹ️ 1️⃣'],
  ['other languages', 'Löscht die Datei. ファイルを読む。 Читает файл. 파일을 읽습니다'],
  ['Persian with its joiners', 'می\u200cخواهم'],
  ['typographic punctuation', '“Quoted” – and so on… non\u00a0breaking'],
])('finds nothing in %s', (_, text) => expect(hiddenIn(text)).toBeUndefined());

test('looks at every text of a definition, names of fields too, and says where', () => {
  const z = '\u200b';
  const flags = hiddenCharacters({
    name: 'a/b',
    description: `d${z}`,
    input_schema: {
      type: 'object',
      title: `t${z}`,
      properties: { [`p${z}`]: { description: `d${z}`, enum: ['x', `y${z}`], default: `f${z}` } },
    },
    annotations: { title: `t${z}` },
  });
  expect(flags.map((flag) => (flag.kind === 'hidden_characters' ? flag.at : '')).sort()).toEqual([
    '/annotations/title',
    '/description',
    '/input_schema/properties/p\ufffd',
    '/input_schema/properties/p\ufffd/default',
    '/input_schema/properties/p\ufffd/description',
    '/input_schema/properties/p\ufffd/enum/1',
    '/input_schema/title',
  ]);
});

test('is bounded, however much hides', () => {
  const input_schema = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, '\u200b']));
  expect(hiddenCharacters({ name: 'a/b', description: '', input_schema, annotations: {} })).toHaveLength(16);
  expect(
    hiddenIn(Array.from({ length: 100 }, (_, i) => String.fromCodePoint(0xe0100 + i)).join(''))?.length,
  ).toBeLessThan(256);
});
