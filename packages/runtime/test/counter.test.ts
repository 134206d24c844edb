import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createCounter } from '../src/index.ts';

test('tells each time how often each combination of labels was counted so far', async () => {
  const registry = new Registry();
  const count = createCounter(registry, { name: 'calls_total', help: 'Calls.', labelNames: ['outcome', 'code'] });
  const lines = async () => (await registry.metrics()).split('\n').filter((line) => line.startsWith('calls_total'));
  expect(await lines()).toEqual([]);
  count('ok', 'OK');
  count('refused', 'KILLED_GLOBAL');
  count('ok', 'OK');
  const two = ['calls_total{outcome="ok",code="OK"} 2', 'calls_total{outcome="refused",code="KILLED_GLOBAL"} 1'];
  expect(await lines()).toEqual(two);
  expect(await lines()).toEqual(two);
  count('ok', 'OK');
  expect((await lines())[0]).toBe('calls_total{outcome="ok",code="OK"} 3');
});
