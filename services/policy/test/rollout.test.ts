import {
  type ActiveRecord,
  AgentGateError,
  type AskedRecord,
  type BundleRecord,
  type TurnRecord,
} from '@agentgate/contracts';
import type { Revision } from '@agentgate/policy-engine';
import { beforeEach, describe, expect, test } from 'vitest';
import type { PolicyRecords } from '../src/ports.ts';
import { createReplicas } from '../src/replicas.ts';
import { createRollout, type ReplicaAnswer } from '../src/rollout.ts';

// Engineers over records that compare and set as the bucket does.

interface World {
  now: number;
  seq: number;
  active: (ActiveRecord & { epoch: number })[];
  bundles: Map<number, BundleRecord>;
  turn: { value: TurnRecord; revision: number } | undefined;
  asked: { value: AskedRecord; revision: number } | undefined;
  said: string[];
  prepare: () => Promise<ReplicaAnswer[]>;
  settled: ReplicaAnswer[];
  /** Of the activations so many have not come to this replica yet. */
  lags: number;
  stored: Map<string, Uint8Array>;
}
let world: World;
const both: ReplicaAnswer[] = [
  { instance: 'one', ms: 1 },
  { instance: 'two', ms: 2 },
];
beforeEach(() => {
  world = {
    now: 1_000_000,
    seq: 0,
    active: [],
    bundles: new Map(),
    turn: undefined,
    asked: undefined,
    said: [],
    prepare: async () => both,
    settled: both,
    lags: 0,
    stored: new Map(),
  };
});

const records: PolicyRecords = {
  active: async () => {
    const newest = world.active.at(-1);
    if (!newest) return { epoch: 0 };
    const { epoch, ...record } = newest;
    return { epoch, record };
  },
  activate: async (record, epoch) => {
    if ((world.active.at(-1)?.epoch ?? 0) !== epoch) return undefined;
    world.active.push({ ...record, epoch: ++world.seq });
    return world.seq;
  },
  addBundle: async (record) => {
    if (world.bundles.has(record.version)) return false;
    world.bundles.set(record.version, record);
    return true;
  },
  bundle: async (version) => world.bundles.get(version),
  turn: async () => world.turn,
  takeTurn: async (value, revision) => {
    if ((world.turn?.revision ?? 0) !== revision) return undefined;
    world.turn = { value, revision: ++world.seq };
    return world.seq;
  },
  asked: async () => world.asked,
  ask: async (value, revision) => {
    if ((world.asked?.revision ?? 0) !== revision) return undefined;
    world.asked = { value, revision: ++world.seq };
    return world.seq;
  },
  history: () => ({ activations: world.active.toReversed().slice(world.lags), bundles: [...world.bundles.values()] }),
};

const rolloutOf = (more: { dualControl?: boolean; invalid?: string } = {}) => {
  const replicas = createReplicas(() => world.now);
  for (const { instance } of both) replicas.alive(instance, 0, 'up');
  return createRollout({
    records,
    replicas,
    bundles: {
      put: async (bundle, archive) => void world.stored.set(bundle, archive),
      get: async (bundle) => world.stored.get(bundle),
    },
    verify: async () => {},
    open: async (archive) => {
      if (more.invalid !== undefined) throw new AgentGateError('POLICY_INVALID', more.invalid);
      const version = archive[0] ?? 0;
      return { version, id: { revision: `v${version}`, digest: 'd'.repeat(64) } } as Revision;
    },
    prepareAll: () => world.prepare(),
    settleAll: async () => world.settled,
    record: async ({ name, data }) =>
      void world.said.push(`${name} ${'version' in data ? data.version : ''} ${data.by}`),
    dualControl: more.dualControl ?? false,
    now: () => world.now,
  });
};
const pushed = async (...versions: number[]) => {
  const rollout = rolloutOf();
  for (const version of versions) await rollout.push('ann', new Uint8Array([version]));
  return rollout;
};
const reason = 'a test';

describe('push', () => {
  test('stores a bundle once, and says who pushed it', async () => {
    const rollout = await pushed(1);
    expect(await rollout.push('bob', new Uint8Array([1]))).toMatchObject({ status: 'already_pushed', version: 1 });
    expect(world.said).toEqual(['policy.pushed 1 ann']);
  });

  test('refuses another bundle under a version that is taken', async () => {
    const rollout = await pushed(1);
    await expect(rollout.push('bob', new Uint8Array([1, 2]))).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringMatching(/^\.manifest: .*: ann pushed another bundle as version 1 /),
    });
    expect(world.said.at(-1)).toBe('policy.rejected  bob');
  });

  test('records a bundle that is not good, with who pushed it', async () => {
    const rollout = rolloutOf({ invalid: 'policy.wasm: is not what was signed' });
    await expect(rollout.push('eve', new Uint8Array([1]))).rejects.toThrow('policy.wasm: is not what was signed');
    expect(world.said).toEqual(['policy.rejected  eve']);
  });
});

describe('activate', () => {
  test('is confirmed by every replica', async () => {
    const rollout = await pushed(1);
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({
      status: 'activated',
      version: 1,
      replicas: [
        { instance: 'one', status: 'confirmed' },
        { instance: 'two', status: 'confirmed' },
      ],
    });
  });

  test('names the replica that did not confirm', async () => {
    const rollout = await pushed(1);
    world.settled = both.slice(0, 1);
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({
      status: 'incomplete',
      problem: 'two did not confirm',
    });
  });

  test('changes nothing where one replica refuses', async () => {
    const rollout = await pushed(1);
    world.prepare = async () => [
      { instance: 'one', ms: 1 },
      { instance: 'two', ms: 1, problem: 'POLICY_INVALID: no' },
    ];
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({
      status: 'refused',
      epoch: 0,
      problem: 'POLICY_INVALID: no',
    });
    expect(world.active).toEqual([]);
  });

  test('refuses an older version, and the one that is active', async () => {
    const rollout = await pushed(1, 2);
    await rollout.activate('ann', { version: 2, reason });
    for (const version of [1, 2])
      await expect(rollout.activate('bob', { version, reason })).rejects.toMatchObject({
        code: 'FIELD_INVALID',
        message: `/version: version ${version} is not newer than 2, which is active; only rollback brings an older one back`,
      });
    expect(world.said.filter((line) => line.startsWith('policy.rejected'))).toEqual([
      'policy.rejected 1 bob',
      'policy.rejected 2 bob',
    ]);
  });

  test('of two at once one is first, and the other hears who', async () => {
    const rollout = await pushed(1, 2);
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    world.prepare = async () => {
      await held;
      return both;
    };
    const first = rollout.activate('ann', { version: 1, reason });
    await expect.poll(() => world.turn?.value.by).toBe('ann');
    expect(await rollout.activate('bob', { version: 2, reason })).toMatchObject({
      status: 'conflict',
      problem: 'ann is rolling out version 1 right now',
    });
    go();
    expect(await first).toMatchObject({ status: 'activated' });
    expect(await rollout.activate('bob', { version: 2, reason })).toMatchObject({ status: 'activated' });
  });

  test('is not written over a record that came meanwhile, however long the first one slept', async () => {
    const rollout = await pushed(1, 2);
    world.prepare = async () => {
      // The turn ran out, and somebody else had theirs.
      world.active.push({ v: 1, version: 2, action: 'activate', by: 'bob', at: '', reason, epoch: ++world.seq });
      return both;
    };
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({
      status: 'conflict',
      problem: 'bob made version 2 active meanwhile',
    });
  });

  test('waits for a second engineer where two have to agree', async () => {
    await pushed(1);
    const rollout = rolloutOf({ dualControl: true });
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({ status: 'pending_second' });
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({ status: 'pending_second' });
    world.now += 300_001;
    expect(await rollout.activate('bob', { version: 1, reason })).toMatchObject({ status: 'pending_second' });
    expect(await rollout.activate('ann', { version: 1, reason })).toMatchObject({ status: 'activated' });
  });

  test('waits for a second engineer again once an operator took it back: one yes is good for one activation', async () => {
    await pushed(1);
    const rollout = rolloutOf({ dualControl: true });
    await rollout.activate('ann', { version: 1, reason });
    expect(await rollout.activate('bob', { version: 1, reason })).toMatchObject({ status: 'activated' });
    expect(await rollout.rollback('op', { reason })).toMatchObject({ status: 'activated', version: 0 });
    expect(await rollout.activate('bob', { version: 1, reason })).toMatchObject({ status: 'pending_second' });
    expect(world.active.at(-1)).toMatchObject({ version: 0 });
  });
});

test('bundle gives back what was pushed, of the active version where none is named', async () => {
  const rollout = await pushed(1, 2);
  expect(await rollout.bundle({})).toEqual({ v: 1, version: 0 });
  await rollout.activate('ann', { version: 1, reason });
  expect(await rollout.bundle({})).toEqual({ v: 1, version: 1, bundle: 'AQ==' });
  expect(await rollout.bundle({ version: 2 })).toEqual({ v: 1, version: 2, bundle: 'Ag==' });
  await expect(rollout.bundle({ version: 3 })).rejects.toThrow('/version: no bundle of version 3 was pushed');
});

describe('rollback', () => {
  test('goes to the version before, and never to one that was taken back', async () => {
    const rollout = await pushed(1, 2, 3);
    for (const version of [1, 2, 3]) await rollout.activate('ann', { version, reason });
    for (const version of [2, 1, 0])
      expect(await rollout.rollback('op', { reason })).toMatchObject({ status: 'activated', version });
  });

  test('reaches only what was active once', async () => {
    const rollout = await pushed(1, 2);
    await expect(rollout.rollback('op', { reason })).rejects.toThrow('/version: nothing was activated yet');
    await rollout.activate('ann', { version: 2, reason });
    await expect(rollout.rollback('op', { version: 1, reason })).rejects.toThrow(
      '/version: version 1 was never active; activate it',
    );
  });

  test('does not bring back what was taken back: only activate goes to a newer version', async () => {
    const rollout = await pushed(1, 2);
    for (const version of [1, 2]) await rollout.activate('ann', { version, reason });
    await rollout.rollback('op', { reason });
    await expect(rollout.rollback('eve', { version: 2, reason })).rejects.toMatchObject({
      code: 'FIELD_INVALID',
      message: '/version: version 2 is newer than 1, which is active; activate it',
    });
    expect(world.active.at(-1)).toMatchObject({ version: 1, by: 'op' });
  });

  test('does not wait for whoever is rolling out, and what they then write over is not theirs to write over', async () => {
    const rollout = await pushed(1, 2);
    await rollout.activate('ann', { version: 1, reason });
    let go: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    world.prepare = async () => {
      await held;
      return both;
    };
    const slow = rollout.activate('eve', { version: 2, reason });
    await expect.poll(() => world.turn?.value.by).toBe('eve');
    world.prepare = async () => both;
    expect(await rollout.rollback('op', { reason })).toMatchObject({ status: 'activated', version: 0 });
    expect(world.turn?.value.by).toBe('op');
    go();
    expect(await slow).toMatchObject({ status: 'conflict', problem: 'op made version 0 active meanwhile' });
  });

  test('is not stopped by a replica that cannot load it, which is named and decides nothing; only by all of them', async () => {
    const rollout = await pushed(1);
    await rollout.activate('ann', { version: 1, reason });
    const no = 'POLICY_INVALID: policy.wasm: the policy was not loaded within 10000 ms';
    const answers: ReplicaAnswer[] = [
      { instance: 'one', ms: 1 },
      { instance: 'two', ms: 1, problem: no },
    ];
    world.prepare = async () => answers.map((each) => ({ ...each, problem: no }));
    expect(await rollout.rollback('op', { reason })).toMatchObject({ status: 'refused', problem: no });
    world.prepare = async () => answers;
    world.settled = answers;
    expect(await rollout.rollback('op', { reason })).toMatchObject({
      status: 'incomplete',
      version: 0,
      replicas: [{ status: 'confirmed' }, { instance: 'two', status: 'refused', problem: no }],
    });
    expect(world.active.at(-1)).toMatchObject({ version: 0 });
  });

  test('to a version by its name is not outrun by whoever activates one after the other', async () => {
    const rollout = await pushed(1, 2, 3);
    for (const version of [1, 2]) await rollout.activate('ann', { version, reason });
    const eve = () =>
      world.active.push({ v: 1, version: 3, action: 'activate', by: 'eve', at: '', reason, epoch: ++world.seq });
    world.prepare = async () => {
      eve();
      return both;
    };
    expect(await rollout.rollback('op', { version: 1, reason })).toMatchObject({ status: 'activated', version: 1 });
    expect(world.active.at(-1)).toMatchObject({ version: 1, by: 'op' });
    // Without a name it is said from what, and then that one is not what is active.
    await rollout.activate('ann', { version: 2, reason });
    expect(await rollout.rollback('op', { reason })).toMatchObject({
      status: 'conflict',
      problem: 'eve made version 3 active meanwhile',
    });
  });

  test('goes one back from what the leader says, also where this replica has not seen that yet', async () => {
    const rollout = await pushed(1, 2);
    for (const version of [1, 2]) await rollout.activate('ann', { version, reason });
    world.lags = 1;
    expect(await rollout.rollback('op', { reason })).toMatchObject({ status: 'activated', version: 1 });
  });
});
