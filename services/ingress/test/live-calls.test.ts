import { expect, test } from 'vitest';
import { createLiveCalls } from '../src/live-calls.ts';

const who = { tenant: 'default', agent: 'demo' };
const about = { ...who, session: 'ses_0000000001', tool: 'fs/read', deadline: 1_000 };
const nth = (n: number) => `call_${String(n).padStart(10, '0')}`;

test('tells what became of a call that is over, by its id and by its key, to its own agent alone', () => {
  const live = createLiveCalls();
  const call = live.open({ ...about, call: nth(1), key: 'k' });
  expect(live.fateOf(who, { key: 'k' })).toBeUndefined();
  live.close(call, 'completed');
  expect(live.find(who, { key: 'k' })).toBeUndefined();
  for (const by of [{ key: 'k' }, { call: nth(1) }]) {
    expect(live.fateOf(who, by)).toBe('completed');
    expect(live.fateOf({ ...who, agent: 'other' }, by)).toBeUndefined();
    expect(live.fateOf({ ...who, tenant: 'acme' }, by)).toBeUndefined();
  }
});

test('forgets the oldest first', () => {
  const live = createLiveCalls();
  for (let n = 0; n <= 4_096; n++) live.close(live.open({ ...about, call: nth(n), key: undefined }), 'completed');
  expect([nth(0), nth(1), nth(4_096)].map((call) => live.fateOf(who, { call }))).toEqual([
    undefined,
    'completed',
    'completed',
  ]);
});
