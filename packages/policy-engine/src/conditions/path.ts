import { fails, holds, UnsafeCondition, unclear, type Verdict } from './verdict.ts';

// Paths are compared as text, so only texts that every file system and every decoder reads alike are compared at all.

const maxLength = 4096;
/** Characters that are drawn like a separator and that some code pages turn into one; NFKC leaves them alone. */
const looksLikeSeparator = /[\u2044\u2215\u2216\u29F5\u29F8\u29F9\u2571\u2572\u27CB\u27CD\u3033]/;
const percentEscape = /%(?:[0-9a-f]{2}|u[0-9a-f])/i;
const meaningful = /[./\\%~]/;

/** Why a text is not an absolute path with one reading only. */
const pathFault = (path: string): string | undefined => {
  if (path.length > maxLength) return `it is longer than ${maxLength} characters`;
  if (!path.startsWith('/')) return 'it is not an absolute path';
  if (path.includes('\\')) return 'it holds a backslash';
  if (/\p{Cc}/u.test(path)) return 'it holds a control character';
  if (percentEscape.test(path)) return 'it holds a percent-escape';
  if (/[^\x20-\x7e]/.test(path)) {
    const fault = unicodeFault(path);
    if (fault) return fault;
  }
  if (path.includes('//')) return 'it holds an empty segment';
  for (const segment of path.split('/')) {
    if (segment === '..') return 'it holds a ".." segment';
    if (segment.endsWith('.') || segment.endsWith(' ')) return 'a segment ends in a dot or a space';
    if (segment.startsWith('~')) return 'a segment begins with "~"';
  }
  return undefined;
};

const unicodeFault = (path: string): string | undefined => {
  if (!path.isWellFormed()) return 'it holds a lone surrogate';
  if (/[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]/u.test(path)) return 'it holds an invisible character';
  if (path.normalize('NFC') !== path) return 'it is not in Unicode normal form C';
  for (const [character] of path.matchAll(/[^\x20-\x7e]/gu)) {
    if (looksLikeSeparator.test(character) || meaningful.test(character.normalize('NFKC')))
      return 'it holds a character that stands in for a dot or a separator';
  }
  return undefined;
};

/** `under`: the path itself or anything below it. Symbolic links are the tool server's to refuse: they are not in the text. */
export const prepareUnder = (prefix: string): ((value: unknown) => Verdict) => {
  const folder = prefix.length > 1 && prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
  const wrong = pathFault(prefix);
  if (wrong) throw new UnsafeCondition(`${JSON.stringify(prefix)} cannot be a path prefix: ${wrong}`);
  const below = folder === '/' ? '/' : `${folder}/`;
  return (value) => {
    if (typeof value !== 'string') return unclear('it is not a string');
    const fault = pathFault(value);
    if (fault) return unclear(fault);
    return value === folder || value.startsWith(below) ? holds : fails('it is outside');
  };
};
