import { expect, test } from 'vitest';
import { filled, rulesOf } from '../src/provider.ts';
import { orderOf } from './orders.ts';

const order = orderOf({ person: { id: 'ann', token: 'x' } });

test('puts whom a lease is for into a template', () => {
  expect(filled('crm:{tenant}:{agent}:{person}:*', order)).toBe('crm:default:demo:ann:*');
  expect(filled('{session}', order)).toBe(order.session);
  expect(filled('{other} {', order)).toBe('{other} {');
});

test.each(['*', 'a.b', 'a>b', 'a:b', 'a b', '"x', '', 'ü', 'a\n', '{tenant}', 'x'.repeat(129)])(
  'refuses a person whose name could mean more than itself: %j',
  (id) => {
    expect(() => filled('crm:{person}', { ...order, person: { id, token: 'x' } })).toThrow(
      /cannot be made for this person/,
    );
  },
);

test('refuses where nobody is named', () => {
  expect(() => filled('crm:{person}', orderOf())).toThrow('credential db needs a session that names a person');
});

test('takes the rules that a scope covers, and those without a scope always', () => {
  const rules = [{ scope: 'read' }, { scope: 'write' }, { n: 1 }] as { scope?: string }[];
  expect(rulesOf(rules, 'read')).toEqual([rules[0], rules[2]]);
  expect(rulesOf(rules, 'read write')).toEqual(rules);
  expect(rulesOf(rules, undefined)).toEqual(rules);
  expect(rulesOf(rules, 'rea')).toEqual([rules[2]]);
});
