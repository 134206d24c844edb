import type { Scope } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createHeld } from '../src/index.ts';

const session: Scope = { kind: 'session', id: 'ses_0123456789' };

test('gives what was ended for a scope once, to the order of the same scope alone', () => {
  const held = createHeld<string>(() => 0);
  held.put(session, 'first');
  held.put({ kind: 'global' }, 'other');
  held.put(session, 'second');
  expect(held.take({ kind: 'session', id: 'ses_other_00000' })).toEqual([]);
  expect(held.take(session)).toEqual(['first', 'second']);
  expect(held.take(session)).toEqual([]);
  expect(held.take({ kind: 'global' })).toEqual(['other']);
});

test('forgets after 5 s, and keeps the newest 1,024', () => {
  let now = 0;
  const held = createHeld<number>(() => now);
  held.put(session, 1);
  now = 4_999;
  expect(held.take(session)).toEqual([1]);
  held.put(session, 2);
  now += 5_000;
  expect(held.take(session)).toEqual([]);
  for (let n = 0; n < 1_025; n++) held.put(session, n);
  expect([held.take(session).at(0), held.take(session).length]).toEqual([1, 0]);
});
