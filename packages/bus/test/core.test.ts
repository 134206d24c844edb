import { expect, test } from 'vitest';
import { createAfterPoll } from '../src/core.ts';

test('does all that gathered in a turn at once and in order, and what comes meanwhile in the next turn', async () => {
  const afterPoll = createAfterPoll();
  const done: string[] = [];
  const hops: string[] = [];
  afterPoll(() => {
    done.push('first');
    // What a promise brings is later than all that gathered: hence one write for them.
    void Promise.resolve().then(() => hops.push(done.join()));
    afterPoll(() => done.push('next turn'));
  });
  afterPoll(() => done.push('second'));
  expect(done).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual(['first', 'second']);
  expect(hops).toEqual(['first,second']);
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual(['first', 'second', 'next turn']);
});
