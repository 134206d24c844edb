import { silent } from '@agentgate/bus';
import { expect, test } from 'vitest';
import { createOpener } from '../src/opener.ts';
import type { Trigger } from '../src/watch-state.ts';
import { createScene } from './fixtures.ts';

/** A watch with one that is to be stopped, and incidents that can be made to fail. */
const createFixture = () => {
  const { watch, refuse } = createScene({ denials: [{ id: 'probing', count: 1, window_s: 60 }] });
  refuse();
  const state = { fails: false, ready: true, opened: [] as string[] };
  const open = async ({ id }: Trigger) => {
    state.opened.push(id);
    if (state.fails) throw new Error('bucket INCIDENTS does not answer');
  };
  const opener = createOpener({ watch, incidents: { open }, isReady: () => state.ready, log: silent });
  return { watch, opener, state };
};

test('opens what is pending once, and it is done', async () => {
  const { watch, opener, state } = createFixture();
  opener.wake();
  opener.wake();
  await opener.idle();
  expect(state.opened).toHaveLength(1);
  expect(watch.pending()).toEqual([]);
});

test('what failed stays pending until a retry: a flood of events does not ask again for each', async () => {
  const { watch, opener, state } = createFixture();
  state.fails = true;
  for (let i = 0; i < 100; i++) {
    opener.wake();
    await opener.idle();
  }
  expect(state.opened).toHaveLength(1);
  expect(watch.pending()).toHaveLength(1);
  state.fails = false;
  opener.retry();
  await opener.idle();
  expect(state.opened).toHaveLength(2);
  expect(watch.pending()).toEqual([]);
});

test('stops nobody while old events are read', async () => {
  const { opener, state } = createFixture();
  state.ready = false;
  opener.retry();
  await opener.idle();
  expect(state.opened).toEqual([]);
});
