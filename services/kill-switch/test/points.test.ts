import { expect, test } from 'vitest';
import { createPoints, deadAfterMs } from '../src/points.ts';
import { createFakeClock } from './fakes.ts';

const runner = { service: 'tool-runner', instance: 'r1' } as const;

test('a point is known until it was silent for longer than 10 s', () => {
  const clock = createFakeClock();
  const points = createPoints(clock.monotonic);
  points.alive(runner, 'up');
  clock.pass(deadAfterMs);
  expect(points.known()).toEqual([runner]);
  expect(points.lostLately('tool-runner')).toBe(false);
  clock.pass(1);
  expect(points.known()).toEqual([]);
  expect(points.lostLately('tool-runner')).toBe(true);
});

test('a point that leaves is forgotten at once, and counts as lost for as long as a call may run', () => {
  const clock = createFakeClock();
  const points = createPoints(clock.monotonic);
  points.alive(runner, 'up');
  points.alive(runner, 'leaving');
  expect(points.known()).toEqual([]);
  clock.pass(599_999);
  expect(points.lostLately('tool-runner')).toBe(true);
  clock.pass(1);
  expect(points.lostLately('tool-runner')).toBe(false);
  expect(points.lostLately('ingress')).toBe(false);
});

test('a point cannot take the place of one of another service by its instance name', () => {
  const points = createPoints(() => 0);
  points.alive(runner, 'up');
  points.alive({ service: 'ingress', instance: 'r1' }, 'leaving');
  expect(points.known()).toEqual([runner]);
});

test('the list is bounded, and those that it holds stay known', () => {
  const points = createPoints(() => 0);
  for (let i = 0; i < 2_000; i++) points.alive({ service: 'ingress', instance: `i${i}` }, 'up');
  expect(points.known()).toHaveLength(1_024);
});
