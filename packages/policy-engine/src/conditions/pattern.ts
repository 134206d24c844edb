import { RE2JS } from 're2js';
import { fails, holds, UnsafeCondition, unclear, type Verdict } from './verdict.ts';

/** A longer text is not judged: time grows with text × pattern. */
const maxText = 4096;
const maxRepeat = 10;

/**
 * Why a pattern may cost more than its length shows. RE2 is linear in the text, but a counted repeat is written out in
 * full, and repeats inside repeats multiply.
 */
const costOf = (pattern: string): string | undefined => {
  /** For each open group, whether something in it repeats. */
  const groups: boolean[] = [false];
  let last = false;
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i];
    if (character === '\\') {
      if (pattern[i + 1] === 'Q') return '\\Q is not supported: escape each character';
      i++;
      last = false;
    } else if (character === '[') {
      i = endOfClass(pattern, i);
      last = false;
    } else if (character === '(') {
      groups.push(false);
      last = false;
    } else if (character === ')') {
      last = groups.pop() ?? false;
      if (groups.length === 0) return 'a bracket closes that never opened';
      groups.push((groups.pop() ?? false) || last);
    } else if (character === '*' || character === '+' || character === '{') {
      const counted = /^\{(\d+)(,(\d*))?\}/.exec(pattern.slice(i, i + 16));
      if (character === '{' && !counted) continue;
      if (counted && Math.max(Number(counted[1]), Number(counted[3] || 0)) > maxRepeat)
        return `{n,m} may count to ${maxRepeat} at most; max_length bounds a text`;
      if (last) return 'a repeat of something that repeats';
      if (counted) i += counted[0].length - 1;
      // A lazy mark belongs to the repeat; a second repeat after it repeats a repeat.
      if (pattern[i + 1] === '?') i++;
      last = true;
      groups[groups.length - 1] = true;
    } else if (character !== '?') last = false;
  }
  return undefined;
};

/** The index of the bracket that ends the class which opens at `start`. */
const endOfClass = (pattern: string, start: number): number => {
  let i = start + 1;
  if (pattern[i] === '^') i++;
  if (pattern[i] === ']') i++;
  for (; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern.startsWith('[:', i)) i = Math.max(i, pattern.indexOf(':]', i) + 1);
    else if (pattern[i] === ']') return i;
  }
  return pattern.length;
};

/** `matches`: the whole text is of this RE2 pattern. */
export const prepareMatches = (pattern: string): ((value: unknown) => Verdict) => {
  const cost = costOf(pattern);
  if (cost) throw new UnsafeCondition(`the pattern cannot be used: ${cost}`);
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (cause) {
    throw new UnsafeCondition(`the pattern is not RE2: ${cause instanceof Error ? cause.message : 'refused'}`, {
      cause,
    });
  }
  return (value) => {
    if (typeof value !== 'string') return unclear('it is not a string');
    if (value.length > maxText) return unclear(`it is longer than ${maxText} characters`);
    return compiled.matches(value) ? holds : fails('it does not match');
  };
};
