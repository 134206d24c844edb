import { expect, test } from 'vitest';
import { nextTry, triedForMs } from '../src/backoff.ts';

const schedule = (random: number): number[] => {
  const at: number[] = [0];
  for (;;) {
    const next = nextTry({ since: 0, tries: at.length, now: at.at(-1) ?? 0, random });
    if (next === undefined) return at;
    at.push(next);
  }
};

test('tries after 5 s, 15 s, 45 s … up to every four hours, for the last time when a day is over', () => {
  const seconds = schedule(0.5).map((ms) => ms / 1_000);
  expect(seconds.slice(0, 9)).toEqual([0, 5, 20, 65, 200, 605, 1_820, 5_465, 16_400]);
  expect(seconds.at(-1)).toBe(86_400);
  expect(seconds).toHaveLength(14);
});

test.each([0, 1])('spreads tries by a fifth at most, and never past the day (random %d)', (random) => {
  const at = schedule(random);
  expect(at[1]).toBe(random === 0 ? 4_000 : 6_000);
  expect(at.at(-1)).toBe(triedForMs);
  for (const [n, ms] of at.slice(1).entries()) expect(ms).toBeGreaterThan(at[n] ?? 0);
});

test('gives up at the end of the day, also one that slept through it', () => {
  expect(nextTry({ since: 0, tries: 1, now: triedForMs, random: 0.5 })).toBeUndefined();
  expect(nextTry({ since: 0, tries: 1, now: triedForMs - 1, random: 0.5 })).toBe(triedForMs);
});
