import type { Scope } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createLiveCalls, endCall } from '../src/live-calls.ts';

const identity = { tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'probe/echo' };
const global = { kind: 'global' } as const;

const open = () => {
  const clock = { now: 0 };
  const live = createLiveCalls(() => clock.now);
  return { clock, live, one: live.open('call_1', identity) };
};

test('the first ending counts, and all that ended it hear what became of it', async () => {
  const { live, one } = open();
  const heard: string[] = [];
  one.onEnding = ({ why }) => heard.push(why);
  const told = [
    live.end('call_1', { why: 'cancelled' }),
    live.contain(global, 'stop'),
    live.end('call_1', { why: 'timeout' }),
  ];
  endCall(one, { why: 'stopping' });
  expect([one.ending, heard]).toEqual([{ why: 'cancelled' }, ['cancelled']]);
  live.close(one, 'unknown');
  expect(await Promise.all(told)).toEqual(['unknown', [{ call: 'call_1', fate: 'unknown' }], 'unknown']);
});

test('a call that never started was aborted, and is not told of later', async () => {
  const { live, one } = open();
  const fate = live.end('call_1', { why: 'cancelled' });
  live.close(one, undefined);
  expect(await fate).toBe('aborted');
  expect(await live.contain(global, 'stop')).toEqual([]);
});

test('of more calls than an answer holds the newest are told of, what a hold ended among them', async () => {
  const { live, one } = open();
  for (let n = 0; n < 65_536; n++) live.close(live.open(`call_before_${n}`, identity), 'completed');
  live.hold(global);
  live.close(one, 'unknown');
  const told = await live.contain(global, 'stop');
  expect(told).toHaveLength(65_536);
  expect(told.filter(({ call }) => call === 'call_1')).toEqual([{ call: 'call_1', fate: 'unknown' }]);
});

test('a call that is over is told of for 5 s', async () => {
  const { clock, live, one } = open();
  live.close(one, 'completed');
  clock.now = 5_000;
  expect(await live.end('call_1', { why: 'cancelled' })).toBe('completed');
  expect(await live.contain(global, 'stop')).toEqual([{ call: 'call_1', fate: 'completed' }]);
  clock.now = 5_001;
  expect(await live.contain(global, 'stop')).toEqual([]);
  expect(live.endedEarly('call_1')).toBe(false);
  expect(await live.end('call_1', { why: 'cancelled' })).toBeUndefined();
  expect(live.endedEarly('call_1')).toBe(true);
  clock.now = 15_002;
  expect(live.endedEarly('call_1')).toBe(false);
});

test('each call that is over is told of under its own caller', async () => {
  const { live, one } = open();
  live.close(one, undefined);
  const callers = [
    identity,
    { ...identity, agent: 'other' },
    { ...identity, tenant: 'acme' },
    { ...identity, tool: 'probe/sleep' },
    { ...identity, session: 'ses_9876543210' },
    identity,
  ];
  callers.forEach((caller, i) => {
    live.close(live.open(`over_${i}`, caller), 'completed');
  });
  const told = async (scope: Scope) => (await live.contain(scope, 'stop')).map(({ call }) => call);
  expect(await told({ kind: 'agent', tenant: 'default', id: 'demo' })).toEqual([
    'over_5',
    'over_4',
    'over_3',
    'over_0',
  ]);
  expect(await told({ kind: 'agent', tenant: 'default', id: 'other' })).toEqual(['over_1']);
  expect(await told({ kind: 'tenant', id: 'acme' })).toEqual(['over_2']);
  expect(await told({ kind: 'tool', id: 'probe/sleep' })).toEqual(['over_3']);
  expect(await told({ kind: 'session', id: identity.session })).toHaveLength(5);
});
