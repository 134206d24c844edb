import { limits, redactedText } from '@agentgate/contracts';
import { createSecretFinder, spellingsOf } from '@agentgate/runtime';

/** A value without the secret's bytes, and JSON pointers to where they stood. */
export interface Redacted<T> {
  value: T;
  redacted: string[];
}

const mark = redactedText;
const maxPointers = 64;
const maxPointerChars = 512;
/**
 * Takes every spelling of the secrets out of all texts and keys of a JSON value. A text that still says one to who undoes escapes and line
 * breaks is taken out whole.
 */
export const redact = <T>(value: T, secrets: readonly string[]): Redacted<T> => {
  // The longest first, so that no part of a longer one is left over.
  const spellings = [...new Set(secrets.flatMap(spellingsOf))].sort((a, b) => b.length - a.length);
  if (spellings.length === 0) return { value, redacted: [] };
  const stillSays = createSecretFinder(secrets);
  const redacted: string[] = [];
  const clean = (text: string, pointer: string): string => {
    let left = text;
    for (const spelling of spellings) left = left.replaceAll(spelling, mark);
    if (stillSays(left)) left = mark;
    if (left !== text && redacted.length < maxPointers) redacted.push(pointer.slice(0, maxPointerChars));
    return left;
  };
  const walk = (node: unknown, pointer: string, depth: number): unknown => {
    if (typeof node === 'string') return clean(node, pointer);
    if (typeof node !== 'object' || node === null) return node;
    if (depth > limits.depth * 2) return mark;
    if (Array.isArray(node)) return node.map((member, i) => walk(member, `${pointer}/${i}`, depth + 1));
    return Object.fromEntries(
      Object.entries(node).map(([key, member]) => {
        const cleanKey = clean(key, pointer);
        return [
          cleanKey,
          walk(member, `${pointer}/${cleanKey.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1),
        ];
      }),
    );
  };
  return { value: walk(value, '', 0) as T, redacted };
};
