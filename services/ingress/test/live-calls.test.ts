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

test('remembers the last 4,096 that are over, and forgets the oldest first', () => {
  const live = createLiveCalls();
  const closeAll = (from: number, to: number) => {
    for (let n = from; n < to; n++) live.close(live.open({ ...about, call: nth(n), key: undefined }), 'completed');
  };
  const isKnown = (n: number) => live.fateOf(who, { call: nth(n) }) === 'completed';
  closeAll(0, 8_192);
  expect([0, 4_096, 8_191].map(isKnown)).toEqual([true, true, true]);
  closeAll(8_192, 8_193);
  expect([0, 4_095, 4_096, 8_192].map(isKnown)).toEqual([false, false, true, true]);
});
