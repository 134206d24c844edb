import type { pointFate } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import { mergeFates, type PointAnswer } from '../src/fates.ts';

type PointFate = z.infer<typeof pointFate>;
const answer = (service: 'ingress' | 'tool-runner', instance: string, fate?: PointFate): PointAnswer => ({
  v: 1,
  service,
  instance,
  epoch: 7,
  calls: fate ? [{ call: 'call_0123456789', fate }] : [],
});

test.each<[PointFate | undefined, PointFate | undefined, boolean, string]>([
  // ingress, runner, all runners known, wanted
  ['not_started', undefined, true, 'aborted'],
  ['not_started', undefined, false, 'aborted'],
  ['dispatched', undefined, true, 'aborted'],
  ['dispatched', undefined, false, 'unknown'],
  ['dispatched', 'aborted', true, 'aborted'],
  ['dispatched', 'completed', true, 'completed'],
  ['dispatched', 'unknown', true, 'unknown'],
  ['not_started', 'completed', true, 'completed'],
  ['completed', undefined, true, 'completed'],
  ['unknown', undefined, true, 'unknown'],
  ['completed', 'aborted', true, 'aborted'],
  [undefined, 'aborted', true, 'aborted'],
  [undefined, 'completed', false, 'completed'],
  [undefined, 'dispatched', true, 'unknown'],
])('ingress says %s, the runner %s, all runners known: %s → %s', (ingress, runner, all, wanted) => {
  expect(mergeFates([answer('ingress', 'i', ingress), answer('tool-runner', 'r', runner)], all)).toEqual([
    { call: 'call_0123456789', fate: wanted },
  ]);
});

test.each<[PointFate, PointFate, string]>([
  ['aborted', 'completed', 'completed'],
  ['completed', 'unknown', 'unknown'],
  ['unknown', 'aborted', 'unknown'],
])('two runners that say %s and %s leave the more open fate', (a, b, wanted) => {
  expect(mergeFates([answer('tool-runner', 'a', a), answer('tool-runner', 'b', b)], true)).toEqual([
    { call: 'call_0123456789', fate: wanted },
  ]);
});
