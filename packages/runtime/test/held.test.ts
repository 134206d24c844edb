import { expect, test } from 'vitest';
import { createHeld } from '../src/index.ts';

const of = (session: string, agent = 'demo') => ({ tenant: 'default', agent, session, tool: 'fs/read' });
const [one, other] = ['ses_0123456789', 'ses_other_00000'] as const;

test('tells every order of all that it covers, whatever scope was held', () => {
  const held = createHeld<string>(() => 0);
  held.put('a', of(one), 'first');
  held.put('b', of(other), 'second');
  held.put('c', of(one, 'else'), 'third');
  expect(held.coveredBy({ kind: 'session', id: other })).toEqual(['second']);
  for (let order = 0; order < 2; order++)
    expect(held.coveredBy({ kind: 'agent', id: 'demo' })).toEqual(['first', 'second']);
  expect(held.coveredBy({ kind: 'tenant', id: 'another' })).toEqual([]);
});

test('forgets after 4 s, before a runner forgets what became of a call', () => {
  let now = 0;
  const held = createHeld<number>(() => now);
  held.put('a', of(one), 1);
  now = 4_000;
  expect(held.coveredBy({ kind: 'global' })).toEqual([1]);
  now = 4_001;
  expect(held.coveredBy({ kind: 'global' })).toEqual([]);
});
