import { afterEach, describe, expect, test } from 'vitest';
import type { Instance } from '../../src/instance.ts';
import type { RecordedCall } from '../../src/trial/recorded-calls.ts';
import { createReplay, type ReplayReport } from '../../src/trial/replay.ts';
import type { TrialWorld } from '../../src/trial/trial.ts';
import { allowed, callsOf, decided, event, opened } from './events.ts';
import { describedTool, start, worldWith } from './world.ts';

// Recorded calls under the compiled policy of the checkout, in a worker as in the gate.

let instance: Instance | undefined;
afterEach(() => instance?.engine.close());

const replay = async (
  calls: RecordedCall[],
  { grants, more = '', world = worldWith() }: { grants: string; more?: string; world?: TrialWorld },
): Promise<ReplayReport> => {
  instance = await start(grants, more);
  const running = createReplay(instance, world);
  for (const call of calls) await running.take(call);
  return running.end();
};
const allowAll = '  - { id: a, to: { agents: [demo] }, tools: ["fs/*"], effect: allow }';
const packs = (names: string) => `policy: { packs: [${names}] }`;

describe('createReplay', () => {
  test('tells what would be denied, held and allowed, by rule and agent, with examples', async () => {
    const noGrant = { action: 'deny', code: 'NO_GRANT', reason: '', obligations: {} } as const;
    const report = await replay(
      callsOf(
        opened(),
        decided(),
        decided({ arguments: { path: '/etc/passwd' } }),
        decided({ tool: 'fs/delete' }),
        decided({ tool: 'fs/list', decision: noGrant }),
        decided({ tool: 'fs/other', decision: noGrant }),
      ),
      {
        grants: `  - { id: a, to: { agents: [demo] }, tools: [fs/write], where: { /path: { under: /srv } }, effect: allow }
  - { id: p, to: { agents: [demo] }, tools: [fs/delete], effect: require_approval }
  - { id: l, to: { agents: [demo] }, tools: [fs/list], effect: allow }`,
      },
    );
    expect(report).toMatchObject({
      calls: 5,
      replayed: 5,
      same: 2,
      changes: { denied: 1, held: 1, allowed: 1, other_rule: 0 },
      unfaithful: { calls: 0, because: {} },
    });
    expect(report.groups.map(({ change, rule, agent, count }) => [change, rule, agent, count]).sort()).toEqual([
      ['allowed', 'l', 'demo', 1],
      ['denied', 'a', 'demo', 1],
      ['held', 'p', 'demo', 1],
    ]);
    expect(report.examples.denied).toMatchObject([
      {
        tool: 'fs/write',
        was: { action: 'allow', rule: 'a' },
        now: { action: 'deny', code: 'ARGUMENT_NOT_ALLOWED', reason: expect.stringContaining('it is outside') },
      },
    ]);
  });

  test('tells a decision that is the same for another reason apart', async () => {
    const report = await replay(callsOf(opened(), decided({ decision: allowed('older') })), { grants: allowAll });
    expect(report.changes).toEqual({ denied: 0, held: 0, allowed: 0, other_rule: 1 });
  });

  test('claims nothing about calls that policy did not decide', async () => {
    const settled = (code: string) =>
      decided({ decision: { action: 'deny', code, reason: '', obligations: {} } as never });
    const report = await replay(callsOf(settled('KILLED_AGENT'), settled('RATE_LIMITED'), settled('RATE_LIMITED')), {
      grants: allowAll,
    });
    expect(report).toMatchObject({ calls: 3, replayed: 0, settled_elsewhere: { KILLED_AGENT: 1, RATE_LIMITED: 2 } });
  });

  test('replays a call that passed by an exception with that exception, and a deny goes over it', async () => {
    const added = event('policy.exception_added', {
      exception: 'exc_0000000001',
      tools: ['fs/write'],
      owner: 'ann',
      reason: 'because',
      by: 'ann',
      until: '2026-11-24T13:00:00.000Z',
    });
    const passed = decided({ decision: allowed('exception/exc_0000000001') });
    const calls = callsOf(added, opened(), passed);
    expect(await replay(calls, { grants: '  []' })).toMatchObject({ same: 1, by_exception: 1 });
    await instance?.engine.close();
    const denying = '  - { id: d, to: { agents: [demo] }, tools: ["fs/*"], effect: deny }';
    expect((await replay(calls, { grants: denying })).changes.denied).toBe(1);
  });

  test('keeps an approved call approved, and still denies it where the new policy denies', async () => {
    const approval = 'apr_0000000001';
    const calls = callsOf(
      opened(),
      event('approval.granted', { approval, call: 'call_0000000001', by: 'bob' }),
      decided({ approval, decision: allowed('p') }),
    );
    const asking = '  - { id: p, to: { agents: [demo] }, tools: ["fs/*"], effect: require_approval }';
    expect(await replay(calls, { grants: asking })).toMatchObject({ same: 1 });
  });
});

describe('a call that cannot be replayed faithfully', () => {
  const digested = {
    arguments: undefined,
    arguments_digest: { sha256: '0'.repeat(64), bytes: 9 },
  };
  const conditional =
    '  - { id: a, to: { agents: [demo] }, tools: ["fs/*"], where: { /path: { under: /srv } }, effect: allow }';

  test('is counted with the reason where its arguments stand as a digest and a condition looks at them', async () => {
    const report = await replay(callsOf(opened(), decided(digested)), { grants: conditional });
    expect(report).toMatchObject({ replayed: 0, same: 0, unfaithful: { calls: 1, because: { arguments: 1 } } });
  });

  test('is replayed all the same where nothing looks at its arguments', async () => {
    expect(await replay(callsOf(opened(), decided(digested)), { grants: allowAll })).toMatchObject({ same: 1 });
  });

  test.each([
    ['values were taken out', [opened(), decided({ redacted: ['/path'] })], { grants: conditional }, { redacted: 1 }],
    ['its agent is gone', [opened(), decided({}, { agent: 'gone' })], { grants: allowAll }, { agent: 1 }],
    [
      'its session’s purpose was not read, and packs go by it',
      [decided()],
      {
        grants: allowAll,
        more: packs('baseline, destructive'),
        world: worldWith({ toolOf: (n) => describedTool(n, 'writes') }),
      },
      { purpose: 1 },
    ],
    [
      'nobody knows what its tool says of itself, and packs go by it',
      [opened('write'), decided()],
      { grants: allowAll, more: packs('baseline, destructive') },
      { tool: 1 },
    ],
    [
      'secrets that it is searched for are not at hand',
      [opened(), decided()],
      { grants: allowAll, more: packs('baseline, dlp'), world: worldWith({ hasSecrets: false }) },
      { secrets: 1 },
    ],
    [
      'its session had seen results, and provenance asks for them',
      [opened('write'), decided({ tool: 'fs/read' }), decided()],
      {
        grants: allowAll,
        more: packs('baseline, provenance'),
        world: worldWith({ toolOf: (n) => describedTool(n, 'Reads a file.') }),
      },
      { memory: 1 },
    ],
  ])('is counted with the reason where %s', async (_, events, how, because) => {
    const report = await replay(callsOf(...events), how);
    expect(report.unfaithful.because).toEqual(because);
    expect(report.unfaithful.calls).toBe(1);
  });

  test('is believed where what is missing could only have denied, and it is denied', async () => {
    const report = await replay(callsOf(opened(), decided()), {
      grants: '  - { id: d, to: { agents: [demo] }, tools: ["fs/*"], effect: deny }',
      more: packs('baseline, dlp'),
      world: worldWith({ hasSecrets: false }),
    });
    expect(report).toMatchObject({ changes: { denied: 1 }, unfaithful: { calls: 0 } });
  });
});
