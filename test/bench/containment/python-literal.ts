// Recorded tools were written in Python: some of their answers are what `str()` makes of a dict or a list.

const escapes: Record<string, string> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '0': '\0',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};
const words: Record<string, unknown> = { None: null, True: true, False: false, nan: null, inf: null };
const maxDepth = 32;

interface Reader {
  text: string;
  at: number;
}
const fail = (r: Reader): never => {
  throw new SyntaxError(`no Python literal at ${r.at}`);
};
const skipSpace = (r: Reader): void => {
  while (/\s/.test(r.text[r.at] ?? '')) r.at++;
};
const take = (r: Reader, sign: string): boolean => {
  skipSpace(r);
  if (r.text[r.at] !== sign) return false;
  r.at++;
  return true;
};

const readString = (r: Reader): string => {
  const quote = r.text[r.at++];
  let out = '';
  for (;;) {
    const sign = r.text[r.at++];
    if (sign === undefined || sign === '\n') return fail(r);
    if (sign === quote) return out;
    if (sign !== '\\') {
      out += sign;
      continue;
    }
    const kind = r.text[r.at++] ?? '';
    const digits = { x: 2, u: 4, U: 8 }[kind];
    if (digits === undefined) out += escapes[kind] ?? `\\${kind}`;
    else {
      const hex = r.text.slice(r.at, r.at + digits);
      if (!/^[0-9a-fA-F]+$/.test(hex) || hex.length !== digits) return fail(r);
      out += String.fromCodePoint(Number.parseInt(hex, 16));
      r.at += digits;
    }
  }
};

const readMembers = (r: Reader, end: string, member: () => void): void => {
  while (!take(r, end)) {
    member();
    if (!take(r, ',')) {
      if (!take(r, end)) fail(r);
      return;
    }
  }
};

/** Numbers, the words of the language, and what objects print as (`Status.sent`), which stays text. */
const readWord = (r: Reader): unknown => {
  const word = /^[^\s,:()[\]{}'"]+/.exec(r.text.slice(r.at, r.at + 128))?.[0] ?? fail(r);
  r.at += word.length;
  if (Object.hasOwn(words, word)) return words[word];
  const number = Number(word);
  return Number.isFinite(number) ? number : word;
};

const readValue = (r: Reader, depth: number): unknown => {
  if (depth > maxDepth) return fail(r);
  skipSpace(r);
  const sign = r.text[r.at];
  if (sign === "'" || sign === '"') return readString(r);
  if (sign === '[' || sign === '(') {
    r.at++;
    const list: unknown[] = [];
    readMembers(r, sign === '[' ? ']' : ')', () => list.push(readValue(r, depth + 1)));
    return list;
  }
  if (sign !== '{') return readWord(r);
  r.at++;
  const dict: [string, unknown][] = [];
  readMembers(r, '}', () => {
    const key = String(readValue(r, depth + 1));
    if (!take(r, ':')) fail(r);
    dict.push([key, readValue(r, depth + 1)]);
  });
  return Object.fromEntries(dict);
};

/** A dict or a list as Python prints it. Throws SyntaxError for everything else. */
export const parsePythonLiteral = (text: string): Record<string, unknown> | unknown[] => {
  const r: Reader = { text, at: 0 };
  const value = readValue(r, 0);
  skipSpace(r);
  if (r.at !== text.length || typeof value !== 'object' || value === null) return fail(r);
  return value as Record<string, unknown> | unknown[];
};
