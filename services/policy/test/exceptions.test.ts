import {
  AgentGateError,
  type EventDraft,
  type ExceptionAskedRecord,
  type ExceptionsRecord,
  type PolicyExceptAsk,
  type PolicyException,
} from '@agentgate/contracts';
import { beforeEach, describe, expect, test } from 'vitest';
import { createExceptions, type Exceptions } from '../src/exceptions.ts';

// What operators let pass for a while, over records that compare and set.

const at = Date.parse('2026-11-25T12:00:00Z');
const world = {
  now: at,
  monotonic: 0,
  record: undefined as { value: ExceptionsRecord; revision: number } | undefined,
  events: [] as EventDraft[],
  evidenceFails: false,
  recordsFail: false,
  before: undefined as (() => void) | undefined,
  asked: undefined as { value: ExceptionAskedRecord; revision: number } | undefined,
};
let ids = 0;

const replica = (dualControl = false): Exceptions =>
  createExceptions({
    records: {
      exceptions: async () => {
        if (world.recordsFail) throw new AgentGateError('POLICY_UNAVAILABLE', 'late');
        return structuredClone(world.record);
      },
      keepExceptions: async (value, revision) => {
        world.before?.();
        if (revision !== (world.record?.revision ?? 0)) return undefined;
        world.record = { value, revision: revision + 1 };
        return revision + 1;
      },
      exceptionAsked: async () => structuredClone(world.asked),
      askException: async (value, revision) => {
        if (revision !== (world.asked?.revision ?? 0)) return undefined;
        world.asked = { value, revision: revision + 1 };
        return revision + 1;
      },
    },
    dualControl,
    agents: {
      get: (tenant, agent) =>
        tenant === 'default' && ['demo', 'other'].includes(agent)
          ? { v: 1, tenant, agent, labels: [], user: agent }
          : undefined,
    },
    catalog: {
      get: (tool) =>
        ['fs/write', 'fs/delete'].includes(tool)
          ? {
              v: 1,
              name: tool,
              description: '',
              input_schema: {},
              annotations: {},
              schema_digest: '0'.repeat(64),
              seen_at: '2026-11-25T12:00:00Z',
            }
          : undefined,
    },
    record: async (draft) => {
      if (world.evidenceFails) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'late');
      world.events.push(draft);
    },
    newId: () => `exc_000000000${++ids}`,
    now: () => world.now,
    monotonic: () => world.monotonic,
    log: { error: () => {} },
  });
const wish = (more: Partial<PolicyExceptAsk> = {}): PolicyExceptAsk => ({
  v: 1,
  tenant: 'default',
  agent: 'demo',
  tools: ['fs/write'],
  reason: 'the release is on fire',
  for_s: 600,
  ...more,
});
const added = async (exceptions: Exceptions, by: string, ask: PolicyExceptAsk): Promise<PolicyException> => {
  const exception = await exceptions.add(by, ask);
  if (!exception) throw new Error('nothing was added');
  return exception;
};
const call = (more: object = {}) => ({ tenant: 'default', agent: 'demo', tool: 'fs/write', arguments: {}, ...more });

beforeEach(() => {
  ids = 0;
  Object.assign(world, {
    now: at,
    monotonic: 0,
    record: undefined,
    events: [],
    evidenceFails: false,
    recordsFail: false,
    before: undefined,
    asked: undefined,
  });
});

describe('add', () => {
  test('covers this agent and this tool from then on, for as long as was said', async () => {
    const exceptions = replica();
    const { id, until, owner } = await added(exceptions, 'ann', wish());
    expect({ until, owner }).toEqual({ until: '2026-11-25T12:10:00.000Z', owner: 'ann' });
    expect(exceptions.covering(call())?.id).toBe(id);
    for (const other of [{ agent: 'other' }, { tenant: 'acme' }, { tool: 'fs/write2' }, { tool: 'fs/*' }])
      expect(exceptions.covering(call(other)), JSON.stringify(other)).toBeUndefined();
    world.now = at + 600_000 - 1;
    expect(exceptions.covering(call())?.id).toBe(id);
    world.now = at + 600_000;
    expect(exceptions.covering(call())).toBeUndefined();
  });

  test('is in evidence with the operator’s name before it counts, and does not count where it cannot be', async () => {
    const exceptions = replica();
    await exceptions.add('ann', wish({ owner: 'the release team' }));
    expect(world.events).toMatchObject([
      {
        name: 'policy.exception_added',
        tenant: 'default',
        agent: 'demo',
        data: { by: 'ann', owner: 'the release team', reason: 'the release is on fire', tools: ['fs/write'] },
      },
    ]);
    world.evidenceFails = true;
    await expect(exceptions.add('ann', wish({ tools: ['fs/delete'] }))).rejects.toMatchObject({
      code: 'EVIDENCE_UNAVAILABLE',
    });
    expect(exceptions.mayCover(call({ tool: 'fs/delete' }))).toBe(false);
    expect(world.record?.value.exceptions).toHaveLength(1);
  });

  test('judges its conditions, and covers nothing that cannot be judged', async () => {
    const exceptions = replica();
    await exceptions.add('ann', wish({ where: { '/path': { under: '/srv/box' } } }));
    const covers = (path: unknown) => exceptions.covering(call({ arguments: { path } })) !== undefined;
    expect([covers('/srv/box/a'), covers('/etc'), covers('/srv/box/../etc'), covers(7), covers(undefined)]).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(exceptions.mayCover(call())).toBe(true);
  });

  test.each([
    ['an agent that is not known', wish({ agent: 'nobody' }), 'FIELD_INVALID', /tenant default has no agent nobody/],
    [
      'a condition that cannot be enforced',
      wish({ where: { '/path': { under: 'relative' } } }),
      'FIELD_INVALID',
      /^\/where: \/path: "relative" cannot be a path prefix/,
    ],
    [
      'a tool that no server lists: it would wait for whoever names one so',
      wish({ tools: ['fs/write', 'fs/wirte'] }),
      'FIELD_INVALID',
      /^\/tools\/1: no server lists fs\/wirte$/,
    ],
    [
      'a pattern',
      wish({ tools: ['fs/*'] }),
      'FIELD_INVALID',
      /^\/tools\/0: no server lists fs\/\*; an exception names tools in full, and never by a pattern$/,
    ],
  ])('refuses %s', async (_, ask, code, message) => {
    await expect(replica().add('ann', ask)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(world.events).toEqual([]);
  });

  test('refuses a 65th with OVERLOADED, and takes one when another is over', async () => {
    const exceptions = replica();
    for (let i = 0; i < 64; i++) await exceptions.add('ann', wish({ for_s: 60 + i }));
    await expect(exceptions.add('ann', wish())).rejects.toMatchObject({ code: 'OVERLOADED' });
    world.now = at + 61_000;
    await exceptions.settle();
    expect((await added(exceptions, 'ann', wish())).id).toBeDefined();
  });

  test('keeps what another replica wrote in the same moment', async () => {
    const [one, two] = [replica(), replica()];
    world.before = () => {
      world.before = undefined;
      const theirs = { ...wish(), id: 'exc_theirs0000', owner: 'bob', by: 'bob', at: new Date(at).toISOString() };
      const { v: _, for_s: __, ...rest } = theirs;
      const exception = { ...rest, agent: 'other', until: new Date(at + 60_000).toISOString() };
      world.record = { value: { v: 1, exceptions: [exception] }, revision: 7 };
    };
    await one.add('ann', wish());
    expect((await two.list()).map(({ by }) => by)).toEqual(['bob', 'ann']);
  });
});

describe('where two operators have to agree', () => {
  test('one counts when another asks the same, and both names are in evidence', async () => {
    const [one, two] = [replica(true), replica(true)];
    expect(await one.add('ann', wish())).toBeUndefined();
    expect(one.covering(call())).toBeUndefined();
    const exception = await two.add('bob', wish({ reason: 'I agree' }));
    expect(exception).toMatchObject({ by: 'bob', asked_by: 'ann' });
    expect(two.covering(call())).toBeDefined();
    expect(world.events.map(({ name, data }) => [name, (data as { by: string }).by])).toEqual([
      ['policy.exception_asked', 'ann'],
      ['policy.exception_added', 'bob'],
    ]);
    expect(world.events[1]?.data).toMatchObject({ asked_by: 'ann' });
  });

  test.each([
    ['the same operator asks again', 'ann', {}, 0],
    ['another asks for another tool', 'bob', { tools: ['fs/delete'] }, 0],
    ['another asks for longer', 'bob', { for_s: 601 }, 0],
    ['another asks without its conditions', 'bob', { where: undefined }, 0],
    ['another asks five minutes later', 'bob', {}, 300_000],
  ])('none counts when %s', async (_, by, more, later) => {
    const exceptions = replica(true);
    const asked = wish({ where: { '/path': { under: '/srv' } } });
    await exceptions.add('ann', asked);
    world.now += later;
    expect(await exceptions.add(by, { ...asked, ...more })).toBeUndefined();
    expect(world.record).toBeUndefined();
  });
});

test('one yes of a second operator is good for one exception, however soon the first one asks again', async () => {
  const exceptions = replica(true);
  await exceptions.add('ann', wish());
  const { id } = await added(exceptions, 'bob', wish());
  await exceptions.end('op', { v: 1, exception: id, reason: 'no' });
  expect(await exceptions.add('bob', wish())).toBeUndefined();
  expect(exceptions.covering(call())).toBeUndefined();
});

test('one yes is good for one of two who ask the same in the same moment', async () => {
  const [one, two] = [replica(true), replica(true)];
  await one.add('ann', wish());
  const both = await Promise.all([one.add('bob', wish()), two.add('carl', wish())]);
  expect(both.filter(Boolean)).toHaveLength(1);
  expect(world.record?.value.exceptions).toHaveLength(1);
});

describe('end', () => {
  test('ends it everywhere, and says so with the operator’s name', async () => {
    const [one, two] = [replica(), replica()];
    const { id } = await added(one, 'ann', wish());
    await two.settle();
    expect(two.covering(call())?.id).toBe(id);
    expect(await one.end('bob', { v: 1, exception: id, reason: 'over' })).toBe('ended');
    expect(one.covering(call())).toBeUndefined();
    if (world.record) two.take(world.record.value, world.record.revision);
    expect(two.covering(call())).toBeUndefined();
    expect(world.events.at(-1)).toMatchObject({
      name: 'policy.exception_ended',
      data: { exception: id, why: 'operator', by: 'bob', reason: 'over' },
    });
    expect(await one.end('bob', { v: 1, exception: id, reason: 'again' })).toBe('not_found');
  });

  test('ends it although evidence cannot be written', async () => {
    const exceptions = replica();
    const { id } = await added(exceptions, 'ann', wish());
    world.evidenceFails = true;
    await expect(exceptions.end('ann', { v: 1, exception: id, reason: 'over' })).rejects.toMatchObject({
      code: 'EVIDENCE_UNAVAILABLE',
    });
    expect(exceptions.covering(call())).toBeUndefined();
    expect(world.record?.value.exceptions).toEqual([]);
  });
});

describe('a replica', () => {
  test('has those of before its start', async () => {
    const { id } = await added(replica(), 'ann', wish());
    const restarted = replica();
    expect(restarted.covering(call())).toBeUndefined();
    await restarted.settle();
    expect(restarted.covering(call())?.id).toBe(id);
  });

  test('lets nothing pass by an exception when it heard nothing of the records for 3 s', async () => {
    const exceptions = replica();
    await exceptions.add('ann', wish());
    world.recordsFail = true;
    world.monotonic = 3_000;
    await exceptions.settle();
    expect(exceptions.covering(call())).toBeDefined();
    world.monotonic = 3_001;
    expect(exceptions.covering(call())).toBeUndefined();
    world.recordsFail = false;
    await exceptions.settle();
    expect(exceptions.covering(call())).toBeDefined();
  });

  test('does not go back to an older record that comes late', async () => {
    const exceptions = replica();
    const { id } = await added(exceptions, 'ann', wish());
    const older = structuredClone(world.record);
    await exceptions.end('ann', { v: 1, exception: id, reason: 'over' });
    if (older) exceptions.take(older.value, older.revision);
    expect(exceptions.covering(call())).toBeUndefined();
  });

  test.each([
    ['that says that it lasts longer than seven days', { until: '2027-11-25T12:00:00Z' }],
    ['whose times are none', { at: 'yesterday' }],
    ['that begins next year', { at: '2027-11-24T12:00:00Z', until: '2027-11-25T12:00:00Z' }],
    ['with a condition that cannot be enforced', { where: { '/path': { under: 'relative' } } }],
  ])('does not count one %s, whoever wrote it', async (_, more) => {
    const exceptions = replica();
    const { id } = await added(exceptions, 'ann', wish());
    const [honest] = world.record?.value.exceptions ?? [];
    world.record = { value: { v: 1, exceptions: [{ ...honest, ...more } as never] }, revision: 99 };
    await exceptions.settle();
    expect(exceptions.covering(call({ arguments: { path: '/srv' } })), id).toBeUndefined();
  });

  test('counts none by records that were set back: what was ended since stands in them again', async () => {
    const [exceptions, other] = [replica(), replica()];
    const { id } = await added(exceptions, 'ann', wish());
    const backup = structuredClone(world.record);
    await exceptions.end('ann', { v: 1, exception: id, reason: 'over' });
    const kept = await added(exceptions, 'ann', wish({ tools: ['fs/delete'] }));
    await other.settle();
    world.record = backup;
    for (const one of [exceptions, other]) {
      await expect(one.list()).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
      await one.settle();
      expect(one.covering(call())).toBeUndefined();
      expect(one.covering(call({ tool: 'fs/delete' }))?.id).toBe(kept.id);
    }
    world.monotonic = 3_001;
    for (const one of [exceptions, other]) {
      await one.settle();
      expect(one.covering(call({ tool: 'fs/delete' }))).toBeUndefined();
    }
  });

  test('counts none once its record is gone', async () => {
    const exceptions = replica();
    await added(exceptions, 'ann', wish());
    world.record = undefined;
    world.monotonic = 3_001;
    await exceptions.settle();
    expect(exceptions.covering(call())).toBeUndefined();
  });

  test('takes what is over out of the record, and one replica says so', async () => {
    const [one, two] = [replica(), replica()];
    const { id } = await added(one, 'ann', wish());
    world.now = at + 600_000;
    await Promise.all([one.settle(), two.settle()]);
    await two.settle();
    expect(world.record?.value.exceptions).toEqual([]);
    expect(world.events.filter(({ name }) => name === 'policy.exception_ended')).toMatchObject([
      { data: { exception: id, why: 'expired' } },
    ]);
  });
});
