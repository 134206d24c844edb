import { keyOf, normalise, readings, unmask } from './normalise.ts';
import type { ValueKind } from './trace.ts';

// Finds the values in a text that are distinctive enough to be recognised when they come back. Every pattern is bounded, so the
// time is linear in the text.

export interface FoundValue {
  kind: ValueKind;
  key: string;
}

/** Of one text; beyond it nothing is looked at, and the caller is told. */
export const maxScanned = 131_072;
const maxValues = 1_000;

const email = /[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,6}[a-z0-9-]{2,63}/gi;
const link =
  /\b(?:https?|ftp|wss?):\/\/[^\s<>"|\\^{}]{1,2048}|\bwww\.(?:[a-z0-9-]{1,63}\.){1,5}[a-z0-9-]{2,63}(?:[/?#][^\s<>"'`|\\^{}]{0,2048})?/gi;
/** Names below top-level domains that are no file extensions. */
const bareHost =
  /(?<![@\w./-])(?:[a-z0-9-]{1,63}\.){1,5}(?:com|org|net|edu|gov|info|biz|dev|app|cloud|online|site|shop|xyz|top|io|co|ai|me|tv|eu|uk|de|fr|nl|ch|at|it|es|pl|se|no|dk|fi|ru|cn|jp|in|us|ca|au|br|za)(?![\w-])(?:\/[^\s<>"'`|\\^{}]{0,1024})?/gi;
/** In one piece, or in groups of four as it is printed; a word that follows is no group of it. */
const iban =
  /(?<![a-z0-9])[a-z]{2}\d{2}(?:[a-z0-9]{11,30}|(?:[ -](?=[a-z]{0,3}\d)[a-z0-9]{4}){2,7}(?:[ -]\d[a-z0-9]{0,2})?)(?![a-z0-9])/gi;
const digits = /(?<![\w.])\+?\d(?:[ ().-]{0,2}\d){7,20}(?![\w.])/g;
const opaque = /(?<![\w@.-])[a-z0-9](?:[a-z0-9_-]{4,62})[a-z0-9](?![\w@-])/gi;
/** What somebody is to say or write, or a name, as a text gives it. */
const quoted = /"([^"\n]{2,128})"|“([^”\n]{2,128})”|(?<![\p{L}\p{N}])'([^'\n]{2,128})'(?![\p{L}\p{N}])/gu;
const dateLike = /^\+?\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|^\d{1,2}[-./]\d{1,2}[-./]\d{4}/;

/** `host/path?query` in lower case, without a trailing slash, `www.` or the scheme: two links to one place are one value. */
export const linkForm = (text: string): string =>
  text
    .toLowerCase()
    .replace(/^[a-z]{2,5}:\/\//, '')
    .replace(/^www\./, '')
    .replace(/[.,;:!?)\]'`’]+$/, '')
    .replace(/\/+$/, '');
export const hostOfLink = (text: string): string => (linkForm(text).split(/[/?#]/, 1)[0] ?? '').replace(/:\d+$/, '');
const compact = (text: string): string => text.toLowerCase().replace(/[^a-z0-9+]/g, '');

/** Hosts that a text names, in links or alone. */
export const hostsIn = (text: string): Set<string> => {
  const shown = unmask(text.slice(0, maxScanned));
  return new Set([...shown.matchAll(link), ...shown.matchAll(bareHost)].map(([found]) => hostOfLink(found)));
};

const longestName = 128;
const mostQuoted = 256;

type Add = (kind: ValueKind, form: string) => void;

/** Each pattern only where what it needs is there at all: most texts hold none of it. */
const scan = (text: string, add: Add): void => {
  if (text.includes('@'))
    for (const [found] of text.matchAll(email)) add('email', found.toLowerCase().replace(/[.-]+$/, ''));
  if (text.includes('.')) scanHosts(text, add);
  if (!/\d/.test(text)) return;
  for (const [found] of text.matchAll(iban)) if ((found.match(/\d/g)?.length ?? 0) >= 6) add('account', compact(found));
  for (const [found] of text.matchAll(digits)) if (!dateLike.test(found)) add('account', compact(found));
  for (const [found] of text.matchAll(opaque))
    if (/\d/.test(found) && /[a-z]/i.test(found) && !dateLike.test(found)) add('id', found.toLowerCase());
};

const scanHosts = (text: string, add: Add): void => {
  for (const [found] of text.matchAll(link)) {
    add('url', linkForm(found));
    add('host', hostOfLink(found));
  }
  for (const [found] of text.matchAll(bareHost)) {
    if (found.includes('/')) add('url', linkForm(found));
    add('host', hostOfLink(found));
  }
};

/** Keys of what stands in quotes in a text: said again as a whole, it was copied from there. */
export const quotedKeys = (text: string): string[] => {
  const found = new Set<string>();
  for (const reading of readings(text.slice(0, maxScanned))) {
    const shown = unmask(reading);
    // What was encoded as a whole was meant as a whole.
    const whole = reading === text ? [] : [shown];
    const inside = Array.from(shown.matchAll(quoted), ([, a, b, c]) => a ?? b ?? c ?? '');
    for (const each of [...whole, ...inside]) {
      const normal = normalise(each);
      if (normal.length >= 2 && normal.length <= longestName && found.size < mostQuoted)
        found.add(keyOf('text', normal));
    }
  }
  return [...found];
};

/** The values in a text, decoded too; `overflow` where it was too long or held too many. */
export const valuesInText = (text: string): { values: FoundValue[]; overflow: boolean } => {
  const found = new Map<string, FoundValue>();
  let overflow = text.length > maxScanned;
  const add: Add = (kind, form) => {
    if (form === '') return;
    if (found.size >= maxValues) {
      overflow = true;
      return;
    }
    const key = keyOf(kind, form);
    if (!found.has(key)) found.set(key, { kind, key });
  };
  for (const reading of readings(overflow ? text.slice(0, maxScanned) : text)) scan(unmask(reading), add);
  return { values: [...found.values()], overflow };
};

/** The whole of a short text as one value; undefined for what is too long or says nothing. */
export const nameKey = (text: string): string | undefined => {
  if (text.length > 4 * longestName) return undefined;
  const normal = normalise(text);
  return normal.length >= 1 && normal.length <= longestName ? keyOf('name', normal) : undefined;
};

/** The same for a text that says something: under the key that it has where it stands in quotes. */
export const wholeKey = (text: string): string | undefined => {
  if (text.length > 4 * longestName) return undefined;
  const normal = normalise(text);
  return normal.length >= 2 && normal.length <= longestName ? keyOf('text', normal) : undefined;
};

const window = 6;
const mostShingles = 256;
/**
 * Keys of word windows of a text: text that is copied shares them. A long text keeps those with the smallest keys, so that both
 * sides keep the same ones.
 */
export const shinglesOf = (text: string): string[] => {
  const words = normalise(text.slice(0, maxScanned)).match(/[\p{L}\p{N}]+/gu) ?? [];
  const keys = new Set<string>();
  for (let i = 0; i + window <= words.length && keys.size < 4_096; i++)
    keys.add(keyOf('text', words.slice(i, i + window).join(' ')));
  const all = [...keys];
  return all.length <= mostShingles ? all : all.sort().slice(0, mostShingles);
};
