import { services } from '@agentgate/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

test('a call that runs at Ctrl-C is stopped and answered, and its outcome and every farewell are in evidence', async () => {
  const demo = await openAgent(stack);
  const session = await demo.open();
  const running = demo.call(session, 'probe/slow', { ms: 25_000, tag: 'last' });
  await eventually('the call runs', () => stack.probe.starts('last') === 1);
  const before = await readEvidence(stack);
  const lives = new Set(
    before
      .all('producer.started')
      .map(({ data }) => data.instance)
      .filter((instance) => instance !== undefined),
  );
  await stack.halt('SIGINT');
  const reply = await running;
  expect(reply).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
  expect(stack.probe.has('stopped', 'last')).toBe(true);

  await stack.restart();
  const evidence = await readEvidence(stack);
  const { data } = await evidence.event('call.completed', reply.evidence?.completed);
  expect(data).toMatchObject({ call: reply.call, outcome: 'unknown' });
  const stopped = evidence.all('producer.stopped').filter((e) => lives.has(e.data.instance));
  expect(stopped.map((e) => e.data.service).sort()).toEqual([...services].sort());
  expect(evidence.all('evidence.anomaly')).toEqual([]);
});
