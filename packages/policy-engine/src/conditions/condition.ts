import type { Condition } from '@agentgate/contracts';
import { prepareCidrIn, prepareHostIn } from './host.ts';
import { prepareUnder } from './path.ts';
import { prepareMatches } from './pattern.ts';
import { at, fails, holds, UnsafeCondition, unclear, type Verdict } from './verdict.ts';

/** A longer array is not judged. */
const maxMembers = 1024;

type Judge = (value: unknown) => Verdict;
type Scalar = string | number | boolean | null;
/** A verdict, and which condition gave it where that was not `holds`. */
interface Judged {
  verdict: Verdict;
  condition: string;
}
export type PreparedCondition = (found: { value: unknown } | undefined) => Judged;

const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

/** A value of another type is not judged: `"true"` is not true here, but may be to the tool. */
const prepareOneOf = (allowed: readonly Scalar[]): Judge => {
  const values = new Set<unknown>(allowed);
  const types = new Set(allowed.map(typeOf));
  return (value) => {
    if (values.has(value)) return holds;
    return types.has(typeOf(value)) ? fails('it is another value') : unclear(`it is of type ${typeOf(value)}`);
  };
};

const prepareNumber =
  (inRange: (value: number) => boolean, why: string): Judge =>
  (value) => {
    if (typeof value !== 'number') return unclear('it is not a number');
    return inRange(value) ? holds : fails(why);
  };

/** Counted in Unicode code points, as JSON Schema does. */
const prepareMaxLength =
  (max: number): Judge =>
  (value) => {
    if (typeof value !== 'string') return unclear('it is not a string');
    if (value.length <= max) return holds;
    if (value.length > 2 * max) return fails('it is longer');
    return Array.from(value).length <= max ? holds : fails('it is longer');
  };

/** All named conditions must hold: a plain no goes before what cannot be judged, which is no answer at all. */
const all = (judges: readonly (readonly [string, Judge])[]): ((value: unknown) => Judged) => {
  return (value) => {
    let worst: Judged = { verdict: holds, condition: '' };
    for (const [condition, judge] of judges) {
      const verdict = judge(value);
      if (verdict.state === 'fails') return { verdict, condition };
      if (verdict.state === 'unclear' && worst.verdict.state === 'holds') worst = { verdict, condition };
    }
    return worst;
  };
};

const prepareEach = (member: Omit<Condition, 'each'>): Judge => {
  if (member.optional !== undefined) throw new UnsafeCondition('optional has no meaning inside each');
  const judge = all(judgesOf(member));
  return (value) => {
    if (!Array.isArray(value)) return unclear('it is not an array');
    if (value.length > maxMembers) return unclear(`it has more than ${maxMembers} members`);
    let worst: Verdict = holds;
    for (const [index, each] of value.entries()) {
      const { verdict, condition } = judge(each);
      if (verdict.state === 'holds') continue;
      const told = { state: verdict.state, why: `of member ${index}, "${condition}": ${verdict.why}` };
      if (verdict.state === 'fails') return told;
      if (worst.state === 'holds') worst = told;
    }
    return worst;
  };
};

const prepared = <T>(word: string, value: T | undefined, prepare: (value: T) => Judge): [string, Judge][] =>
  value === undefined ? [] : [[word, at(word, () => prepare(value))]];

/** Cheap conditions first. */
const judgesOf = (c: Condition): [string, Judge][] => {
  if (c.min !== undefined && c.max !== undefined && c.min > c.max) throw new UnsafeCondition('min is above max');
  return [
    ...prepared('equals', c.equals, (one) => prepareOneOf([one])),
    ...prepared('one_of', c.one_of, prepareOneOf),
    ...prepared('min', c.min, (min) => prepareNumber((value) => value >= min, 'it is less')),
    ...prepared('max', c.max, (max) => prepareNumber((value) => value <= max, 'it is more')),
    ...prepared('max_length', c.max_length, prepareMaxLength),
    ...prepared('under', c.under, prepareUnder),
    ...prepared('host_in', c.host_in, prepareHostIn),
    ...prepared('cidr_in', c.cidr_in, prepareCidrIn),
    ...prepared('matches', c.matches, prepareMatches),
    ...prepared('each', c.each, prepareEach),
  ];
};

/** Throws UnsafeCondition for one that cannot be enforced. */
export const prepareCondition = (condition: Condition): PreparedCondition => {
  const judges = judgesOf(condition);
  const judge = all(judges);
  const first = judges[0]?.[0] ?? '';
  const absent: Judged = condition.optional
    ? { verdict: holds, condition: '' }
    : { verdict: fails('it is missing'), condition: first };
  return (found) => (found ? judge(found.value) : absent);
};
