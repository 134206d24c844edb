import { hash } from 'node:crypto';

// One spelling for all the spellings of a value, so that a value that comes back in disguise is still recognised.

/** Letters that look like Latin ones (Unicode TR 39), as far as they occur in names, addresses and hosts. */
const lookAlikes: Record<string, string> = Object.fromEntries(
  (
    [
      ['a', 'аɑα'],
      ['b', 'Ьв'],
      ['c', 'сϲ'],
      ['d', 'ԁ'],
      ['e', 'еεє'],
      ['g', 'ɡ'],
      ['h', 'һ'],
      ['i', 'іıɩι'],
      ['j', 'ј'],
      ['k', 'кκ'],
      ['l', 'ӏ'],
      ['m', 'м'],
      ['n', 'ոп'],
      ['o', 'оοօ'],
      ['p', 'рρ'],
      ['q', 'ԛ'],
      ['r', 'г'],
      ['s', 'ѕ'],
      ['t', 'тτ'],
      ['u', 'υս'],
      ['v', 'νѵ'],
      ['w', 'ԝω'],
      ['x', 'хχ'],
      ['y', 'уγ'],
      ['z', 'ᴢ'],
    ] as const
  ).flatMap(([latin, others]) => [...others].map((other) => [other, latin])),
);

const plain = /^[\x20-\x7e]*$/;
/** Zero-width, soft hyphen, direction marks, variation selectors, tags: they show nothing. */
const invisible = /\p{Default_Ignorable_Code_Point}/gu;

/** As written, without what cannot be seen: compatibility forms and look-alikes become Latin. Case stays. */
export const unmask = (text: string): string => {
  if (plain.test(text)) return text;
  const shown = text.normalize('NFKC').replace(invisible, '');
  let out = '';
  for (const char of shown) out += lookAlikes[char] ?? (lookAlikes[char.toLowerCase()] || char);
  return out;
};

/** Lowercase, one space for any white space, nothing hidden. */
export const normalise = (text: string): string => unmask(text).toLowerCase().replace(/\s+/g, ' ').trim();

const maxDecoded = 16_384;
const mostRuns = 1_024;
const base64Run = /[A-Za-z0-9+/_-]{8,4096}={0,2}/g;
const readable = /^[\t\n\r\x20-\x7e\u00a0-\u{1ffff}]+$/u;

const percentDecoded = (text: string): string | undefined => {
  if (!/%[0-9A-Fa-f]{2}/.test(text)) return undefined;
  const decoded = text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
  );
  return decoded === text ? undefined : decoded;
};

const base64Decoded = (text: string): string[] => {
  const found: string[] = [];
  for (const [run] of text.matchAll(base64Run)) {
    // A word or a path is base64, too; only what looks less like one and decodes to readable text says something.
    if (!/[A-Z\d]/.test(run.slice(1))) continue;
    const decoded = Buffer.from(run.replaceAll('-', '+').replaceAll('_', '/'), 'base64').toString('utf8');
    if (decoded.length >= 6 && !decoded.includes('\ufffd') && readable.test(decoded)) found.push(decoded);
    if (found.length >= mostRuns) break;
  }
  return found;
};

/** The text itself and what it says when percent- or base64-encoding is taken off, twice at most. Bounded. */
export const readings = (text: string): string[] => {
  const all = [text];
  let left = maxDecoded;
  let from = 0;
  for (let depth = 0; depth < 2; depth++) {
    const until = all.length;
    for (const one of all.slice(from, until)) {
      const percent = percentDecoded(one);
      for (const decoded of [...(percent === undefined ? [] : [percent]), ...base64Decoded(one)]) {
        if (left <= 0) return all;
        all.push(decoded.slice(0, left));
        left -= decoded.length;
      }
    }
    from = until;
  }
  return all;
};

/** 64 bits of SHA-256 in hex: how the value of that kind is remembered. */
export const keyOf = (kind: string, normal: string): string => hash('sha256', `${kind}\n${normal}`, 'hex').slice(0, 16);
