import { AgentGateError } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createFreshness } from '../src/freshness.ts';
import { createPulse } from '../src/pulse.ts';
import { createFakeClock, start, streamName } from './fakes.ts';

const setUp = (leader: () => Promise<{ stream: string; epoch: number }>, followed = 5) => {
  const clock = createFakeClock();
  const freshness = createFreshness({ epoch: () => followed, monotonic: clock.monotonic });
  const told: unknown[] = [];
  const broken: string[] = [];
  const pulse = createPulse({
    leader,
    stream: streamName,
    orders: { epoch: () => followed },
    freshness,
    clock,
    tell: (p) => void told.push(p),
    broken: (why) => void broken.push(why),
  });
  return { pulse, told, broken, freshness };
};

test('vouches with the leader’s last epoch', async () => {
  const { pulse, told, freshness, broken } = setUp(async () => ({ stream: streamName, epoch: 5 }));
  await pulse();
  expect(told).toEqual([{ epoch: 5, at: start }]);
  expect(freshness.stale()).toBe(false);
  expect(broken).toEqual([]);
});

test('tells nobody anything when the leader does not answer', async () => {
  const { pulse, told, freshness } = setUp(async () => {
    throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the KILL stream does not answer');
  });
  await expect(pulse()).rejects.toMatchObject({ message: 'the KILL stream does not answer' });
  expect(told).toEqual([]);
  expect(freshness.stale()).toBe(true);
});

test.each([
  ['was made anew', { stream: 'another', epoch: 5 }, 'the KILL stream was made anew'],
  [
    'lost orders',
    { stream: streamName, epoch: 4 },
    'the KILL stream ends at 4, but it was followed to 5: orders are lost',
  ],
])('gives up when the stream %s', async (_, leader, why) => {
  const { pulse, told, broken } = setUp(async () => leader);
  await pulse();
  expect(broken).toEqual([why]);
  expect(told).toEqual([]);
});
