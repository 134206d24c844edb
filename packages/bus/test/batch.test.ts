import { batch } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createBatcher } from '../src/batch.ts';
import { type Core, createAfterPoll } from '../src/core.ts';
import { silent } from '../src/log.ts';
import type { Arrival, Mux } from '../src/mux.ts';

const item = z.strictObject({ i: z.int() });
const work = batch('test.work', {
  ask: item,
  answer: item,
  by: ['ingress'],
  of: 'tool-runner',
  items: 1,
  late: true,
  timeoutMs: 60_000,
});

/** A connection that carries one message at a time and answers nothing by itself. */
const wire = (items = 1) => {
  const sent: string[] = [];
  const open = new Set<(arrival: Arrival) => void>();
  let connected = true;
  const mux: Mux = {
    open: (onArrival) => {
      open.add(onArrival);
      return { reply: 'reply', close: () => open.delete(onArrival) };
    },
    disconnected: () => {},
  };
  const nc = {
    publish: (_: string, data: Uint8Array) => void sent.push(Buffer.from(data).toString()),
  } as unknown as Core['nc'];
  const core: Core = {
    nc,
    user: 'asker',
    instance: 'a-1',
    log: silent,
    mux,
    lateMux: () => mux,
    connected: () => connected,
    afterPoll: createAfterPoll(),
    stats: { requests: 0, errors: 0 },
  };
  return {
    sent,
    ask: createBatcher(core, { ...work, items }, { inFlight: 1 }),
    arrive: (body: object) => {
      const arrival = { data: new TextEncoder().encode(JSON.stringify(body)) } as Arrival;
      for (const tell of [...open]) tell(arrival);
    },
    lose: () => {
      connected = false;
      for (const tell of [...open]) tell('disconnected');
    },
  };
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('what waits to leave when the connection breaks never leaves, and is told so at once', async () => {
  const { ask, sent, lose } = wire();
  const answers = Promise.allSettled([ask({ i: 0 }), ask({ i: 1 }), ask({ i: 2 })]);
  await turn();
  lose();
  const told = (await answers).map((answer) => answer.status === 'rejected' && answer.reason);
  expect(told).toMatchObject([
    { code: 'OUTCOME_UNKNOWN', message: 'the connection to NATS broke; tool-runner may have run it' },
    { code: 'RUNNER_UNAVAILABLE', message: 'tool-runner cannot be reached: not connected to NATS' },
    { code: 'RUNNER_UNAVAILABLE', message: 'tool-runner cannot be reached: not connected to NATS' },
  ]);
  expect(sent).toHaveLength(1);
});

test('what is taken back before it leaves never leaves, and what has left is not taken back', async () => {
  const { ask, sent, arrive } = wire();
  const withdrawals: (() => boolean)[] = [];
  const onQueued = (withdraw: () => boolean) => void withdrawals.push(withdraw);
  const [first, second] = [ask({ i: 0 }, { onQueued }), ask({ i: 1 }, { onQueued })];
  await turn();
  expect(withdrawals.map((withdraw) => withdraw())).toEqual([false, true]);
  await expect(second).rejects.toMatchObject({ code: 'CANCELLED', message: 'it was ended before it was sent' });
  arrive({ v: 1, items: [{ n: 0, answer: { i: 7 } }] });
  expect(await first).toEqual({ i: 7 });
  await turn();
  expect(sent).toEqual(['{"v":1,"items":[{"n":0,"ask":{"i":0}}]}']);
  expect(withdrawals.map((withdraw) => withdraw())).toEqual([false, false]);
});

test('what leaves together is one JSON text with each question at its place, also beyond ASCII', async () => {
  const { ask, sent, arrive } = wire(12);
  const asks = Array.from({ length: 12 }, (_, i) => ({ i, text: `"${'é€😀'.repeat(i)}\\` }));
  const answers = asks.map((one) => ask(one));
  await turn();
  expect(sent.map((text) => JSON.parse(text))).toEqual([{ v: 1, items: asks.map((one, n) => ({ n, ask: one })) }]);
  arrive({ v: 1, items: asks.map(({ i }, n) => ({ n, answer: { i } })) });
  expect(await Promise.all(answers)).toEqual(asks.map(({ i }) => ({ i })));
});
