import type { Condition } from '@agentgate/contracts';
import { prepareCondition } from '../conditions/condition.ts';
import type { Where } from '../conditions/where.ts';

// Whether some arguments can satisfy conditions at all, and whether one condition follows from another. Only what is certain is said.

type Word = keyof Condition;
/** What a value must be for each to hold. */
const typeOf: Partial<Record<Word, 'string' | 'number' | 'array'>> = {
  under: 'string',
  matches: 'string',
  max_length: 'string',
  host_in: 'string',
  cidr_in: 'string',
  min: 'number',
  max: 'number',
  each: 'array',
};
const named = (condition: Condition): Word[] =>
  (Object.keys(condition) as Word[]).filter((word) => word !== 'optional' && condition[word] !== undefined);
const without = (condition: Condition, ...words: Word[]): Condition =>
  Object.fromEntries(Object.entries(condition).filter(([word]) => !(words as string[]).includes(word)));

const holdsFor = (condition: Condition, value: unknown): boolean =>
  named(condition).length === 0 || prepareCondition(condition)({ value }).verdict.state === 'holds';

/** The values that it names, where it names all that it lets through. */
const valuesOf = ({ equals, one_of }: Condition): unknown[] | undefined => {
  if (equals === undefined) return one_of;
  return one_of && !one_of.includes(equals) ? [] : [equals];
};

/** Why nothing satisfies it, or undefined where something may. */
export const contradictionOf = (condition: Condition): string | undefined => {
  const values = valuesOf(condition);
  const words = named(condition);
  if (values) {
    const rest = without(condition, 'equals', 'one_of');
    if (values.some((value) => holdsFor(rest, value))) return undefined;
    return `no value of ${condition.equals === undefined ? 'one_of' : 'equals'} satisfies ${named(rest).join(' and ') || 'one_of'}`;
  }
  const byType = new Map(words.flatMap((word) => (typeOf[word] ? [[typeOf[word], word] as const] : [])));
  if (byType.size > 1)
    return [...byType].map(([type, word]) => `${word} needs ${type === 'array' ? 'an' : 'a'} ${type}`).join(', and ');
  const { under, max_length: maxLength, host_in: hosts, cidr_in: cidrs } = condition;
  if (under !== undefined && maxLength !== undefined && maxLength < Array.from(under.replace(/(?<=.)\/$/, '')).length)
    return `nothing under ${JSON.stringify(under)} is as short as max_length ${maxLength}`;
  if (under !== undefined && (hosts || cidrs)) return `a path under ${JSON.stringify(under)} names no host`;
  return condition.each && contradictionOf(condition.each)
    ? `each: ${contradictionOf(condition.each)} (it holds for an empty array alone)`
    : undefined;
};

/** Why no arguments satisfy all of them: one by itself, or one inside of an argument that another wants to be no object. */
export const contradictionIn = (where: Where): { pointer: string; why: string } | undefined => {
  for (const [pointer, condition] of Object.entries(where)) {
    const why = contradictionOf(condition);
    if (why !== undefined && !condition.optional && !why.startsWith('each: ')) return { pointer, why };
    const inside = Object.entries(where).find(
      ([other, { optional }]) => other.startsWith(`${pointer}/`) && !optional && !condition.optional,
    )?.[0];
    if (inside !== undefined && !condition.each)
      return { pointer, why: `it is to be a value of its own, and to hold ${inside}` };
  }
  return undefined;
};

/** Whether whatever satisfies `narrow` satisfies `wide`. */
export const follows = (wide: Where, narrow: Where): boolean =>
  Object.entries(wide).every(([pointer, condition]) => {
    const has = Object.hasOwn(narrow, pointer) ? narrow[pointer] : undefined;
    if (!has || (has.optional && !condition.optional)) return false;
    const values = valuesOf(has);
    if (values) return values.every((value) => holdsFor(without(condition, 'optional'), value));
    return named(condition).every((word) => impliedBy(has, condition, word));
  });

const impliedBy = (has: Condition, condition: Condition, word: Word): boolean => {
  switch (word) {
    case 'under':
      return has.under !== undefined && holdsFor({ under: condition.under }, has.under);
    case 'min':
      return has.min !== undefined && condition.min !== undefined && has.min >= condition.min;
    case 'max':
      return has.max !== undefined && condition.max !== undefined && has.max <= condition.max;
    case 'max_length':
      return (
        has.max_length !== undefined && condition.max_length !== undefined && has.max_length <= condition.max_length
      );
    default:
      return JSON.stringify(has[word]) === JSON.stringify(condition[word]);
  }
};
