import { setImmediate, setTimeout } from 'node:timers/promises';
import { AgentGateError, type Decision } from '@agentgate/contracts';
import { type Instance, noFacts, type PolicyInput } from '@agentgate/policy-engine';
import { beforeEach, describe, expect, test } from 'vitest';
import { createShadow, type Shadow, type Watched } from '../src/shadow.ts';

// The second revision: what it is told, when, and that nothing of it comes back.

const allow: Decision = { action: 'allow', code: 'OK', reason: 'allowed by grant a', rule: 'a', obligations: {} };
const denied = {
  action: 'deny',
  code: 'POLICY_DENIED',
  reason: 'grant d denies this call',
  rule: 'd',
  obligations: {},
};

const world = {
  said: [] as string[],
  inputs: [] as PolicyInput[],
  lost: 0,
  decide: async (inputs: PolicyInput[]): Promise<unknown[]> => inputs.map(() => ({ result: denied })),
};
let shadow: Shadow;

const watched = (call: string): Watched => {
  const ask = { call, tenant: 'default', agent: 'demo', session: 's', tool: 'fs/write', arguments: { secret: 'x' } };
  const input = { call: { tool: 'fs/write', arguments: ask.arguments }, tool: {}, facts: noFacts } as never;
  return { asked: { ask, labels: [] } as never, size: 100, input, decision: allow };
};
const call = (n: number) => watched(`call_${String(n).padStart(10, '0')}`);
const idle = async () => {
  for (let i = 0; i < 200; i++) await setImmediate();
};

beforeEach(() => {
  Object.assign(world, { said: [], inputs: [], lost: 0 });
  world.decide = async (inputs) => inputs.map(() => ({ result: denied }));
  shadow = createShadow({
    start: async ({ version }) => {
      if (version === 13) throw new AgentGateError('POLICY_INVALID', 'tests.json: it breaks its word');
      world.said.push(`${version} starts`);
      return {
        version,
        factsDigest: 'same',
        data: { credentials: {} },
        facts: {
          find: async (asked: unknown[]) =>
            asked.map(() => ({ facts: { ...noFacts, copied: true }, labels: ['anew'], provenance: {} })),
        },
        engine: {
          get lost() {
            return world.lost;
          },
          decide: (inputs: PolicyInput[]) => {
            world.inputs.push(...inputs);
            return world.decide(inputs);
          },
          close: async () => void world.said.push(`${version} ends`),
        },
      } as unknown as Instance;
    },
    now: () => 0,
    log: { error: () => {} },
  });
});

describe('offer', () => {
  test('asks the shadow after whoever offered has gone on, and not before', async () => {
    await shadow.follow({ version: 2 });
    shadow.offer([call(1)], 'same');
    // As the bus does between the domain's answer and its own: everything that waits for nothing but promises.
    for (let i = 0; i < 100; i++) await Promise.resolve();
    expect(world.inputs).toHaveLength(0);
    await idle();
    expect(world.inputs).toHaveLength(1);
  });

  test('tells of a difference with both decisions, their rules, the call’s id, and nothing else of the call', async () => {
    await shadow.follow({ version: 2 });
    shadow.offer([call(1)], 'same');
    await idle();
    const { state, totals, differences } = shadow.told(0);
    expect({ state, totals }).toEqual({
      state: 'on',
      totals: {
        decided: 1,
        differed: 1,
        failed: 0,
        dropped: 0,
        kinds: [
          {
            active: { action: 'allow', code: 'OK', rule: 'a' },
            shadow: { action: 'deny', code: 'POLICY_DENIED', rule: 'd' },
            count: 1,
          },
        ],
      },
    });
    expect(differences).toEqual([
      {
        seq: 1,
        call: 'call_0000000001',
        at: '1970-01-01T00:00:00.000Z',
        active: { action: 'allow', code: 'OK', rule: 'a' },
        shadow: { action: 'deny', code: 'POLICY_DENIED', rule: 'd' },
      },
    ]);
    expect(JSON.stringify(shadow.told(0))).not.toContain('secret');
  });

  test('counts a call that both decide alike, and tells nothing of it', async () => {
    world.decide = async (inputs) => inputs.map(() => ({ result: { ...allow, reason: 'in other words' } }));
    await shadow.follow({ version: 2 });
    shadow.offer([call(1), call(2)], 'same');
    await idle();
    expect(shadow.told(0)).toMatchObject({ totals: { decided: 2, differed: 0 }, differences: [] });
  });

  test('hands over the very input of the active policy, and finds out anew only for a shadow with other facts', async () => {
    await shadow.follow({ version: 2 });
    const offered = call(1);
    shadow.offer([offered], 'same');
    shadow.offer([call(2)], 'other');
    await idle();
    expect(world.inputs[0]).toBe(offered.input);
    expect(world.inputs[1]).toMatchObject({ tool: { labels: ['anew'] }, facts: { copied: true } });
    expect(shadow.told(0).differences.map(({ late_facts }) => late_facts)).toEqual([undefined, true]);
  });

  test('does nothing while there is no shadow', async () => {
    expect(shadow.isOn()).toBe(false);
    shadow.offer([call(1)], 'same');
    await idle();
    expect(shadow.told(0)).toMatchObject({ state: 'off', totals: { decided: 0, dropped: 0 } });
  });
});

describe('a shadow that does not keep up', () => {
  test('is not asked about more calls than may wait, and the rest is counted', async () => {
    let free = () => {};
    world.decide = (inputs) =>
      new Promise((resolve) => {
        free = () => resolve(inputs.map(() => ({ result: allow })));
      });
    await shadow.follow({ version: 2 });
    shadow.offer([call(0)], 'same');
    await idle();
    for (let i = 1; i <= 3_000; i++) shadow.offer([call(i)], 'same');
    expect(shadow.told(0).totals.dropped).toBe(3_000 - 1_024);
    expect(world.inputs).toHaveLength(1);
    await shadow.follow(undefined);
    free();
  });

  test('does not keep more than 16 MiB of calls that wait, however large each is', async () => {
    let free = () => {};
    world.decide = (inputs) =>
      new Promise((resolve) => {
        free = () => resolve(inputs.map(() => ({ result: allow })));
      });
    await shadow.follow({ version: 2 });
    shadow.offer([call(0)], 'same');
    await idle();
    const large = Array.from({ length: 100 }, (_, i) => ({ ...call(i + 1), size: 256 * 1024 }));
    shadow.offer(large, 'same');
    expect(shadow.told(0).totals.dropped).toBe(36);
    world.decide = async (inputs) => inputs.map(() => ({ result: allow }));
    free();
    await idle();
    // What was decided makes room.
    shadow.offer(large.slice(0, 10), 'same');
    await idle();
    expect(shadow.told(0).totals).toMatchObject({ decided: 75, dropped: 36 });
  });

  test('is given up after eight evaluations that hung or threw, and says so', async () => {
    world.decide = async (inputs) => {
      world.lost++;
      return inputs.map(() => new AgentGateError('POLICY_UNAVAILABLE', 'no decision within 50 ms'));
    };
    await shadow.follow({ version: 2 });
    for (let i = 0; i < 20; i++) {
      shadow.offer([call(i)], 'same');
      await idle();
    }
    expect(shadow.told(0)).toMatchObject({
      state: 'gave_up',
      problem: 'it was given up after 8 evaluations that hung or threw',
      totals: { decided: 0, failed: 8 },
    });
    expect(world.said).toEqual(['2 starts', '2 ends']);
    expect(shadow.isOn()).toBe(false);
  });

  test('costs only counts where it throws', async () => {
    world.decide = async () => {
      throw new Error('a broken engine');
    };
    await shadow.follow({ version: 2 });
    shadow.offer([call(1)], 'same');
    await idle();
    expect(shadow.told(0).totals).toMatchObject({ failed: 1, differed: 0 });
  });

  test('keeps the newest 1,024 differences, and says how many it does not have', async () => {
    await shadow.follow({ version: 2 });
    for (let i = 0; i < 30; i++) {
      shadow.offer(
        Array.from({ length: 50 }, (_, n) => call(i * 50 + n)),
        'same',
      );
      await idle();
    }
    const told = shadow.told(0);
    expect(told.totals).toMatchObject({ decided: 1_500, differed: 1_500 });
    expect([told.differences.length, told.missed, told.last]).toEqual([256, 1_500 - 256, 1_500]);
    expect(shadow.told(1_499)).toMatchObject({ missed: 0, differences: [{ seq: 1_500 }] });
  });

  test('names at most 64 kinds of difference, whatever rules it makes up', async () => {
    let n = 0;
    world.decide = async (inputs) => inputs.map(() => ({ result: { ...denied, rule: `made-up-${n++}` } }));
    await shadow.follow({ version: 2 });
    shadow.offer(
      Array.from({ length: 100 }, (_, i) => call(i)),
      'same',
    );
    await idle();
    expect(shadow.told(0).totals).toMatchObject({ differed: 100 });
    expect(shadow.told(0).totals.kinds).toHaveLength(64);
  });
});

describe('follow', () => {
  test('replaces the one before, and begins to count anew', async () => {
    await shadow.follow({ version: 2 });
    shadow.offer([call(1)], 'same');
    await idle();
    await shadow.follow({ version: 3 });
    expect(shadow.told(0)).toMatchObject({ version: 3, totals: { decided: 0, differed: 0 }, differences: [] });
    expect(world.said).toEqual(['2 starts', '2 ends', '3 starts']);
    await shadow.follow({ version: 3 });
    expect(world.said).toHaveLength(3);
    await shadow.follow(undefined);
    expect(shadow.told(0).state).toBe('off');
    expect(world.said.at(-1)).toBe('3 ends');
  });

  test('what the one before still decides when another takes its place is counted for neither', async () => {
    let free = () => {};
    world.decide = (inputs) =>
      new Promise((resolve) => {
        free = () => resolve(inputs.map(() => ({ result: denied })));
      });
    await shadow.follow({ version: 2 });
    shadow.offer([call(1)], 'same');
    await idle();
    await shadow.follow({ version: 3 });
    free();
    await setTimeout(1);
    expect(shadow.told(0).totals).toMatchObject({ decided: 0, differed: 0, failed: 0 });
  });

  test('rejects and says why where it cannot be loaded', async () => {
    await expect(shadow.follow({ version: 13 })).rejects.toThrow('it breaks its word');
    expect(shadow.told(0)).toMatchObject({ state: 'failed', problem: 'tests.json: it breaks its word', version: 13 });
    expect(shadow.isOn()).toBe(false);
  });
});
