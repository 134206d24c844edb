import type { Batcher } from '@agentgate/bus';
import { AgentGateError, type ToolCallAnswer, type ToolCallAsk } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createNatsUpstream } from '../../src/adapters/nats-tools.ts';

const silent = { info: () => {}, warn: () => {} };

/** A tool server whose messages wait to leave until the test lets them. */
const sendingOne = async () => {
  const cancelled: unknown[] = [];
  let hasLeft = false;
  let answer: (answer: ToolCallAnswer) => void = () => {};
  const batcher: Batcher<ToolCallAsk, ToolCallAnswer> = (_, opts) =>
    new Promise((resolve, reject) => {
      answer = resolve;
      opts?.onQueued?.(() => {
        if (!hasLeft) reject(new AgentGateError('CANCELLED', 'it was ended before it was sent'));
        return !hasLeft;
      });
    });
  const upstream = createNatsUpstream({
    server: 'probe',
    nats: { subject: 'tool.v1.default.probe' },
    inject: undefined,
    now: () => 0,
    log: silent,
    bus: {
      requestRaw: async () => new TextEncoder().encode('{"v":1,"tools":[]}'),
      toolBatcher: () => batcher,
      notify: (_, body) => void cancelled.push(body),
    },
  });
  await upstream.start();
  const channel = await upstream.prepare({ deadline: 1_000 });
  const { ended, stop } = channel.send({ call: 'call_0123456789', tool: 'echo', arguments: {}, deadline: 1_000 });
  return {
    ended,
    cancelled,
    leave: () => {
      hasLeft = true;
    },
    answer: (given: ToolCallAnswer) => answer(given),
    stop: async () => {
      stop('killed');
      await new Promise((resolve) => setImmediate(resolve));
      await upstream.close();
    },
  };
};

test('a call that is stopped while it waits to leave is taken back: nothing ran, and nobody is told', async () => {
  const { ended, cancelled, stop } = await sendingOne();
  await stop();
  const reason = 'it was stopped before it was handed over';
  expect(await ended).toEqual({ kind: 'not_sent', code: 'CANCELLED', reason });
  expect(cancelled).toEqual([]);
});

test('a call that has left is cancelled at its server, which says what became of it', async () => {
  const { ended, cancelled, leave, stop, answer } = await sendingOne();
  leave();
  await stop();
  expect(cancelled).toEqual([{ v: 1, calls: ['call_0123456789'] }]);
  answer({ status: 'cancelled', result: null });
  expect(await ended).toEqual({ kind: 'stopped' });
});
