import { AgentGateError } from '@agentgate/contracts';
import type { Instance, Revision } from '@agentgate/policy-engine';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Activation, type ActivePolicy, createActivePolicy, type Target } from '../src/active-policy.ts';

// One replica: what it decides by, and when it decides nothing.

const world = {
  now: 0,
  newest: { epoch: 0 } as Activation,
  said: [] as string[],
  refused: undefined as string | undefined,
  evidenceFails: false,
};
let active: ActivePolicy;

const activate = (epoch: number, version: number) => {
  world.newest = {
    epoch,
    record: {
      v: 1,
      version,
      ...(version > 0 && { bundle: `${version}` }),
      action: 'activate',
      by: 'ann',
      at: '',
      reason: 'a test',
    },
  };
};
const engineOf = (version: number) => ({
  decide: async () => [],
  lost: 0,
  dropSpare: async () => void world.said.push(`${version} gives up its spare`),
  keepSpare: () => void world.said.push(`${version} keeps a spare`),
  close: async () => void world.said.push(`${version} ends`),
});
const decides = () => active.under(async ({ version }) => version);
const unavailable = (message: string | RegExp) => ({
  code: 'POLICY_UNAVAILABLE',
  message: typeof message === 'string' ? message : expect.stringMatching(message),
});

beforeEach(async () => {
  Object.assign(world, { now: 0, newest: { epoch: 0 }, said: [], refused: undefined, evidenceFails: false });
  active = createActivePolicy({
    fetch: async ({ version }: Target) => {
      if (world.refused !== undefined) throw new AgentGateError('POLICY_INVALID', world.refused);
      return { version } as Revision;
    },
    start: async ({ version }) =>
      ({
        version,
        engine: engineOf(version),
        revision: { revision: `r${version}`, digest: '' },
      }) as unknown as Instance,
    newest: async () => world.newest,
    record: async ({ data }) => {
      if (world.evidenceFails) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'late');
      world.said.push(`${data.revision} ${data.action ?? 'first'} in evidence`);
    },
    monotonic: () => world.now,
    log: { info: () => {}, error: () => {} },
  });
});

test('decides nothing before a policy is loaded', async () => {
  await expect(decides()).rejects.toMatchObject(unavailable('no policy is loaded yet'));
});

test('comes up with what agentgate.yaml says where nothing was activated, else with the active version', async () => {
  await active.settle();
  expect(await decides()).toBe(0);
  activate(7, 3);
  await active.settle();
  expect(await decides()).toBe(3);
  expect(active.epoch()).toBe(7);
});

test('is in evidence before it decides, and never decides where it cannot be', async () => {
  await active.settle();
  world.evidenceFails = true;
  activate(1, 1);
  await expect(active.settle()).rejects.toMatchObject({ code: 'EVIDENCE_UNAVAILABLE' });
  await expect(decides()).rejects.toMatchObject(
    unavailable(/^the active policy \(version 1\) cannot be loaded: late$/),
  );
  world.evidenceFails = false;
  await active.settle();
  expect(await decides()).toBe(1);
});

test('a batch ends by the revision that it began with, and that one ends after it', async () => {
  await active.settle();
  let end: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    end = resolve;
  });
  const batch = active.under(async ({ version }) => {
    await held;
    return version;
  });
  activate(1, 1);
  await active.settle();
  expect(await decides()).toBe(1);
  expect(world.said).not.toContain('0 ends');
  end();
  expect(await batch).toBe(0);
  await expect
    .poll(() => world.said)
    .toEqual(['r0 first in evidence', '0 gives up its spare', 'r1 activate in evidence', '0 ends', '1 keeps a spare']);
});

describe('what is prepared', () => {
  test('is not loaded twice, and decides nothing until it is active', async () => {
    await active.settle();
    await active.prepare({ version: 1, bundle: '1' });
    expect(await decides()).toBe(0);
    world.refused = 'would be fetched again';
    activate(1, 1);
    await active.settle();
    expect(await decides()).toBe(1);
  });

  test('leaves what decides as it was where it is refused', async () => {
    await active.settle();
    world.refused = 'policy.wasm: is not WebAssembly';
    await expect(active.prepare({ version: 1, bundle: '1' })).rejects.toMatchObject({ code: 'POLICY_INVALID' });
    expect(await decides()).toBe(0);
    expect(world.said).not.toContain('0 ends');
  });

  test('goes where another one is activated', async () => {
    await active.settle();
    await active.prepare({ version: 1, bundle: '1' });
    activate(1, 2);
    await active.settle();
    expect(await decides()).toBe(2);
    expect(world.said).toContain('1 ends');
  });
});

test('decides nothing once the leader of the records was silent for 3 s', async () => {
  await active.settle();
  world.now = 3_000;
  expect(await decides()).toBe(0);
  world.now = 3_001;
  await expect(decides()).rejects.toMatchObject(unavailable(/^whether its policy is still the active one is unknown/));
  await active.settle();
  expect(await decides()).toBe(0);
});

test('does not go back with records that were set back, and decides nothing until they are as new again', async () => {
  activate(5, 2);
  await active.settle();
  activate(4, 1);
  await expect(active.settle()).rejects.toMatchObject(
    unavailable('the records say epoch 4, and epoch 5 was active already'),
  );
  expect(await decides()).toBe(2);
  world.now = 3_001;
  await expect(decides()).rejects.toMatchObject(unavailable(/^whether its policy is still the active one is unknown/));
  activate(5, 2);
  await active.settle();
  expect(await decides()).toBe(2);
});

test('does not decide on by the old revision where the active one cannot be loaded, and goes on once it was taken back', async () => {
  await active.settle();
  world.refused = 'data.json: is not what was signed';
  activate(1, 1);
  await expect(active.settle()).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  await expect(decides()).rejects.toMatchObject(unavailable(/data\.json: is not what was signed$/));
  world.refused = undefined;
  activate(2, 0);
  await active.settle();
  expect(await decides()).toBe(0);
});
