import { AgentGateError } from '@agentgate/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { type EngineOptions, type PolicyEngine, startEngine } from '../../src/engine/engine.ts';
import type { Evaluation } from '../../src/engine/evaluator.ts';
import { compile } from '../grants/grants.ts';
import { committedModule, inputFor } from './inputs.ts';

const policy = compile('  - { id: free, to: { agents: [demo] }, tools: [fs/open], effect: allow }');
const silent = { warn: () => {}, error: () => {} };
const engines: PolicyEngine[] = [];
const engine = async (more: Partial<EngineOptions> = {}) => {
  const started = await startEngine({ policy, module: committedModule(), log: silent, ...more });
  engines.push(started);
  return started;
};
const unruly = () => engine({ worker: new URL('./unruly-worker.ts', import.meta.url) });
const told = (answers: (Evaluation | AgentGateError)[]) =>
  answers.map((answer) =>
    answer instanceof AgentGateError
      ? `${answer.code}: ${answer.message}`
      : 'result' in answer
        ? answer.result
        : answer.fault,
  );
const decide = async (which: PolicyEngine, ...names: string[]) =>
  told(await which.decide(names.map((name) => inputFor(`fs/${name}`))));

afterEach(async () => {
  await Promise.all(engines.splice(0).map((each) => each.close()));
});

test('decides in its worker with the committed policy', async () => {
  const real = await engine();
  expect(await real.decide([inputFor('fs/open'), inputFor('fs/other')])).toMatchObject([
    { result: { code: 'OK', rule: 'free' } },
    { result: { code: 'NO_GRANT' } },
  ]);
  expect(await real.decide([])).toEqual([]);
  expect(real.lost).toBe(0);
});

test('what the engine must not see is refused by name, and no worker is asked', async () => {
  const which = await unruly();
  const asked = [
    inputFor('fs/a'),
    inputFor('fs/hang', { n: Number.POSITIVE_INFINITY }),
    inputFor('fs/hang', { a: [undefined] }),
    inputFor('fs/hang', { text: '\uD800' }),
    inputFor('fs/b', { text: 'é"\\\u2028' }),
  ];
  expect(told(await which.decide(asked))).toEqual([
    'a',
    '/arguments/n: not a finite number',
    '/arguments/a/0: not JSON',
    '/arguments/text: a lone surrogate is not allowed',
    'b',
  ]);
  expect(which.lost).toBe(0);
});

test('answers in the order of the asks, whoever asks meanwhile', async () => {
  const which = await unruly();
  const names = Array.from({ length: 600 }, (_, i) => `t${i}`);
  const [a, b] = await Promise.all([decide(which, ...names), decide(which, 'x', 'y')]);
  expect(a).toEqual(names);
  expect(b).toEqual(['x', 'y']);
});

describe('a call that the engine cannot take denies itself alone', () => {
  const cutOff = 'POLICY_UNAVAILABLE: the policy engine did not decide: no decision within 50 ms';
  test('cut off when it hangs', async () => {
    const which = await unruly();
    expect(await decide(which, 'a', 'hang', 'b', 'c')).toEqual(['a', cutOff, 'b', 'c']);
    expect(await decide(which, 'd')).toEqual(['d']);
    // Once with its batch, once alone.
    expect(which.lost).toBe(2);
  });
  test('alone, it is not tried again', async () => {
    const which = await unruly();
    const begun = performance.now();
    expect(await decide(which, 'hang')).toEqual([cutOff]);
    expect(performance.now() - begun).toBeLessThan(1_500);
    expect(which.lost).toBe(1);
  });
  test('discards the instance when it throws, whatever it throws', async () => {
    const which = await unruly();
    expect(await decide(which, 'a', 'throw', 'b')).toEqual([
      'a',
      'POLICY_UNAVAILABLE: the policy engine did not decide: unreachable executed',
      'b',
    ]);
    expect(await decide(which, 'abort')).toEqual(['POLICY_UNAVAILABLE: the policy engine did not decide: opa_abort']);
    expect(await decide(which, 'c')).toEqual(['c']);
  });
  test('survives a worker that dies', async () => {
    const which = await unruly();
    const [first, second, third] = await decide(which, 'a', 'exit', 'b');
    expect([first, third]).toEqual(['a', 'b']);
    expect(second).toMatch(/^POLICY_UNAVAILABLE/);
  });
  test('three in a row leave the engine at work', async () => {
    const which = await unruly();
    expect(await decide(which, 'hang', 'hang', 'a', 'hang')).toEqual([cutOff, cutOff, 'a', cutOff]);
    expect(await decide(which, 'b')).toEqual(['b']);
  });
});

test('loads a worker for each that died, however many die', async () => {
  const which = await unruly();
  const begun = performance.now();
  const names = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 'exit' : 'a'));
  const answers = await decide(which, ...names);
  for (const [i, answer] of answers.entries()) if (names[i] === 'exit') expect(answer).toMatch(/^POLICY_UNAVAILABLE/);
  await expect.poll(() => decide(which, 'a'), { timeout: 5_000 }).toEqual(['a']);
  expect(performance.now() - begun).toBeLessThan(10_000);
});

test('a batch may take longer than one evaluation may', async () => {
  const which = await unruly();
  expect(await decide(which, 'slow', 'slow', 'slow', 'slow', 'slow', 'slow')).toEqual(Array(6).fill('slow'));
  expect(which.lost).toBe(0);
});

test('tells callers at once when too many wait, and serves the rest', async () => {
  const which = await unruly();
  const first = decide(which, 'slow');
  const answers = await decide(which, ...Array.from({ length: 8_193 }, () => 'a'));
  expect(answers.filter((answer) => answer === 'a')).toHaveLength(8_192);
  expect(answers.at(-1)).toBe('OVERLOADED: too many calls wait for a decision');
  expect(await first).toEqual(['slow']);
});

test('answers what waits when it closes, and nothing after', async () => {
  const which = await unruly();
  const waiting = decide(which, 'hang', 'a');
  await which.close();
  for (const answer of await waiting) expect(answer).toMatch(/^POLICY_UNAVAILABLE/);
  expect(await decide(which, 'a')).toEqual(['POLICY_UNAVAILABLE: the policy engine did not decide: it has stopped']);
});

test('does not start with a policy that cannot be loaded', async () => {
  const empty = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
  await expect(engine({ module: empty })).rejects.toThrow(/the policy cannot be loaded/);
});
