import type { Condition } from '@agentgate/contracts';
import { type PreparedCondition, prepareCondition } from './condition.ts';
import { at, UnsafeCondition } from './verdict.ts';

/** What the engine is told of a conditional grant: it decides what follows. */
export type Fact = { state: 'holds' } | { state: 'fails' | 'unclear'; pointer: string; condition: string; why: string };
export type Where = Record<string, Condition>;
export type PreparedWhere = (args: Record<string, unknown>) => Fact;

const allHold: Fact = { state: 'holds' };
const index = /^(?:0|[1-9]\d{0,15})$/;

/** The value at a JSON pointer (RFC 6901), own properties only; undefined where there is none. */
export const valueAt = (root: unknown, tokens: readonly string[]): { value: unknown } | undefined => {
  let value = root;
  for (const token of tokens) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) ? !index.test(token) || Number(token) >= value.length : !Object.hasOwn(value, token))
      return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return { value };
};

const tokensOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

/** Throws UnsafeCondition naming the pointer and the condition. */
export const prepareWhere = (where: Where): PreparedWhere => {
  const conditions = Object.entries(where).map(([pointer, condition]): [string, string[], PreparedCondition] => {
    const prepare = () => {
      if (pointer === '') throw new UnsafeCondition('names all arguments; a condition is about one, such as /path');
      return prepareCondition(condition);
    };
    return [pointer, tokensOf(pointer), at(pointer, prepare, (why) => `${pointer || '""'}: ${why}`)];
  });
  return (args) => {
    let worst: Fact = allHold;
    for (const [pointer, tokens, judge] of conditions) {
      const { verdict, condition } = judge(valueAt(args, tokens));
      if (verdict.state === 'holds') continue;
      const fact: Fact = { state: verdict.state, pointer, condition, why: verdict.why };
      if (fact.state === 'fails') return fact;
      if (worst.state === 'holds') worst = fact;
    }
    return worst;
  };
};
