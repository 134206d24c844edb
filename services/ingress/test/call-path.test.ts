import {
  AgentGateError,
  type EventData,
  type EventDraft,
  type ExecuteAnswer,
  type Permit,
  type Scope,
} from '@agentgate/contracts';
import { matchesSaltedDigest } from '@agentgate/evidence';
import { describe, expect, test } from 'vitest';
import { type CallPorts, runCall } from '../src/call-path.ts';
import { createLiveCalls, endCall } from '../src/live-calls.ts';

const who = { tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'fs/read' };
const call = { ...who, call: 'call_0123456789', arguments: { path: '/a' }, deadline: 30_000 };
const policy = { revision: 'r1', digest: 'a'.repeat(64) };
const permit = { claims: {}, seal: {} } as unknown as Permit;
const allow = {
  decision: { action: 'allow' as const, code: 'OK' as const, reason: 'granted', obligations: {} },
  policy,
  permit,
};
const ran: ExecuteAnswer = {
  outcome: 'ok',
  code: 'OK',
  reason: 'done',
  result: { content: [] },
  duration_ms: 1,
  redacted: [],
};
const session: Scope = { kind: 'session', id: who.session };

/** Ports of a gate where everything works, and what was recorded and dispatched in which order. */
const gate = (over: Partial<CallPorts> = {}) => {
  const trail: string[] = [];
  const events: EventDraft[] = [];
  const live = createLiveCalls().open({ ...who, call: call.call, key: undefined, deadline: call.deadline });
  const ports: CallPorts = {
    now: () => 0,
    decide: async () => allow,
    checkKill: async () => ({ epoch: 7 }),
    ownKillView: () => ({}),
    execute: async () => {
      trail.push('execute');
      return ran;
    },
    observe: never('observe'),
    witnessed: never('witnessed'),
    record: async (draft) => {
      trail.push(draft.name);
      events.push(draft);
      return `evt_${draft.name.replace('.', '_')}0`;
    },
    hold: (_, held) => void trail.push(held ? 'hold' : 'release'),
    ...over,
  };
  return {
    trail,
    events,
    live,
    run: (args = call.arguments, approval?: string) => runCall(ports, live, { ...call, arguments: args }, approval),
  };
};
const digestIn = (event: EventDraft | undefined) =>
  (event?.data as EventData<'call.decided'> | undefined)?.arguments_digest ?? { sha256: '' };
const never = (what: string) => async () => expect.fail(`${what} was reached`);
const down =
  (
    code:
      | 'POLICY_UNAVAILABLE'
      | 'KILL_SWITCH_UNAVAILABLE'
      | 'EVIDENCE_UNAVAILABLE'
      | 'RUNNER_UNAVAILABLE'
      | 'OUTCOME_UNKNOWN',
  ) =>
  async () => {
    throw new AgentGateError(code, 'down');
  };

describe('an allowed call', () => {
  test('is decided in evidence, run, completed in evidence, and answered, in this order', async () => {
    const g = gate();
    expect(await g.run()).toEqual({
      call: call.call,
      status: 'ok',
      code: 'OK',
      reason: 'done',
      result: { content: [] },
      evidence: { decided: 'evt_call_decided0', completed: 'evt_call_completed0' },
    });
    expect(g.trail).toEqual(['call.decided', 'execute', 'call.completed']);
    const { data, disclosures = [] } = g.events[1] as EventDraft<'call.completed'>;
    expect(disclosures).toEqual([{ field: 'result_digest', salt: expect.any(String) }]);
    const salted = { salt: disclosures[0]?.salt ?? '', digest: data.result_digest ?? '' };
    expect(matchesSaltedDigest({ content: [] }, salted)).toBe(true);
    expect(g.events[0]?.data).toMatchObject({
      kill_epoch: 7,
      policy,
      deadline: call.deadline,
      arguments: { path: '/a' },
    });
  });

  test('names its approval in evidence where its permit holds it, and none that the agent merely named', async () => {
    const id = 'apr_0123456789';
    const approved = { ...permit, claims: { approval: { claims: { approval: id } } } } as unknown as Permit;
    const told = async (given: Permit) => {
      const g = gate({ decide: async () => ({ ...allow, permit: given }) });
      await g.run(undefined, id);
      return (g.events[0]?.data as EventData<'call.decided'> | undefined)?.approval;
    };
    expect(await told(approved)).toBe(id);
    expect(await told(permit)).toBeUndefined();
    expect(await told({} as Permit)).toBeUndefined();
  });

  test('names in evidence the approval that a refused call was asked with', async () => {
    const decision = { action: 'deny' as const, code: 'APPROVAL_INVALID' as const, reason: 'used', obligations: {} };
    const g = gate({ decide: async () => ({ decision, policy }) });
    await g.run(undefined, 'apr_0123456789');
    expect(g.events[0]?.data).toMatchObject({ approval: 'apr_0123456789', decision });
  });

  test('runs nothing when the decision cannot be written to evidence', async () => {
    const g = gate({ record: down('EVIDENCE_UNAVAILABLE'), execute: never('execute') });
    expect(await g.run()).toMatchObject({ status: 'unavailable', code: 'EVIDENCE_UNAVAILABLE' });
  });

  test('gives outcome_unknown and holds the session when the outcome cannot be written, and releases it once it is', async () => {
    let late: (() => void) | undefined;
    const g = gate();
    const held = gate({
      record: async (draft, onDurable) => {
        if (draft.name === 'call.decided') return 'evt_decided000';
        late = onDurable;
        throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'down');
      },
      hold: (_, isHeld) => void g.trail.push(isHeld ? 'hold' : 'release'),
    });
    expect(await held.run()).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
    expect(g.trail).toEqual(['hold']);
    late?.();
    expect(g.trail).toEqual(['hold', 'release']);
  });

  test('gives outcome_unknown and holds the session when a runner gives a result that has no canonical form', async () => {
    const { run, trail } = gate({ execute: async () => ({ ...ran, result: { content: ['\ud800'] } }) });
    expect(await run()).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
    expect(trail).toContain('hold');
  });

  test('is outcome_unknown when the runner fell silent after it may have begun', async () => {
    const g = gate({ execute: down('OUTCOME_UNKNOWN') });
    expect(await g.run()).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
    expect(g.events.at(-1)).toMatchObject({ name: 'call.completed', data: { outcome: 'unknown' } });
  });

  test('is unavailable, and its evidence says aborted, when no runner took it', async () => {
    const g = gate({ execute: down('RUNNER_UNAVAILABLE') });
    expect(await g.run()).toMatchObject({ status: 'unavailable', code: 'RUNNER_UNAVAILABLE' });
    expect(g.events.at(-1)).toMatchObject({ data: { outcome: 'aborted', code: 'RUNNER_UNAVAILABLE' } });
  });
});

describe('a call that witnesses have to see', () => {
  const wanted = async () => ({ ...allow, decision: { ...allow.decision, obligations: { witnessed: true } } });
  const witnessed = { entry: 'entry', proof: 'proof' };

  test('is run once they did, with the proof for the runner', async () => {
    const trail: string[] = [];
    const g = gate({
      decide: wanted,
      witnessed: async (event, deadline) => {
        trail.push(`witnessed ${event} until ${deadline}`);
        return witnessed;
      },
      execute: async (ask) => {
        expect(ask.witnessed).toEqual(witnessed);
        trail.push('execute');
        return ran;
      },
    });
    expect(await g.run()).toMatchObject({ status: 'ok' });
    expect(trail).toEqual(['witnessed evt_call_decided0 until 3500', 'execute']);
  });

  test.each(['EVIDENCE_UNAVAILABLE', 'OUTCOME_UNKNOWN'] as const)(
    'runs nothing when they did not (%s), and evidence says that it was aborted',
    async (code) => {
      const g = gate({ decide: wanted, witnessed: down(code), execute: never('execute') });
      expect(await g.run()).toEqual({
        call: call.call,
        status: 'unavailable',
        code: 'EVIDENCE_UNAVAILABLE',
        reason: 'nothing ran: down',
        evidence: { decided: 'evt_call_decided0', completed: 'evt_call_completed0' },
      });
      expect(g.events.at(-1)).toMatchObject({ data: { outcome: 'aborted', code: 'EVIDENCE_UNAVAILABLE' } });
    },
  );

  test.each([
    ['before it waits', () => Promise.resolve()],
    ['while it waits', () => new Promise((resolve) => setImmediate(resolve))],
  ])('waits no longer when it is cancelled %s', async (_, until) => {
    const g = gate({ decide: wanted, witnessed: () => new Promise(() => {}), execute: never('execute') });
    const reply = g.run();
    await until();
    endCall(g.live, { why: 'cancelled' });
    expect(await reply).toMatchObject({ status: 'cancelled', code: 'CANCELLED' });
  });

  test('is not run when it was killed while the witnesses looked', async () => {
    let killed: { scope: Scope; reason: string } | undefined;
    const g = gate({
      decide: wanted,
      witnessed: async () => {
        killed = { scope: session, reason: 'stop' };
        return witnessed;
      },
      ownKillView: () => (killed ? { killed } : {}),
      execute: never('execute'),
    });
    expect(await g.run()).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
  });
});

describe('a result that policy wants to see', () => {
  const wanted = async () => ({ ...allow, observe: true as const });

  test('is answered once policy has seen it, as the agent gets it', async () => {
    const seen: object[] = [];
    const g = gate({ decide: wanted, observe: async (result) => void seen.push(result) });
    expect(await g.run()).toMatchObject({ status: 'ok', result: { content: [] } });
    expect(seen).toEqual([{ ...who, call: call.call, result: { content: [] } }]);
  });

  test('is withheld, with the outcome in evidence, when policy could not see it', async () => {
    const g = gate({ decide: wanted, observe: down('POLICY_UNAVAILABLE') });
    const reply = await g.run();
    expect(reply).toEqual({
      call: call.call,
      status: 'outcome_unknown',
      code: 'POLICY_UNAVAILABLE',
      reason: 'it ran, and its result is withheld because policy could not see it: down',
      evidence: { decided: 'evt_call_decided0', completed: 'evt_call_completed0' },
    });
    expect(g.events.at(-1)).toMatchObject({ data: { outcome: 'ok', code: 'OK' } });
  });

  test('is not asked about when there is none', async () => {
    const g = gate({ decide: wanted, execute: down('RUNNER_UNAVAILABLE') });
    expect(await g.run()).toMatchObject({ status: 'unavailable', code: 'RUNNER_UNAVAILABLE' });
  });
});

describe('arguments in evidence', () => {
  const decided = (decision: object) => async () => ({ ...allow, decision: { ...allow.decision, ...decision } });
  const redactPath = { redact: { arguments: ['/path'] } };
  const ended = async (over: Partial<CallPorts>, args = call.arguments) => {
    const g = gate(over);
    await g.run(args);
    return g;
  };
  const inEvidence = async (over: Partial<CallPorts>) => (await ended(over)).events[0]?.data as Record<string, unknown>;

  test.each([
    ['allowed', {}],
    ['denied', { action: 'deny', code: 'POLICY_DENIED' }],
  ])('lack what policy had redacted when the call is %s', async (_, decision) => {
    const data = await inEvidence({ decide: decided({ ...decision, obligations: redactPath }) });
    expect(data).toMatchObject({ arguments: { path: '[redacted]' }, redacted: ['/path'] });
  });

  test('lack it when a kill refused the call', async () => {
    const data = await inEvidence({
      decide: decided({ obligations: { ...redactPath, taint: ['x'] } }),
      checkKill: async () => ({ epoch: 1, killed: { scope: session, reason: 'stop' } }),
    });
    expect(data).toMatchObject({
      arguments: { path: '[redacted]' },
      decision: { code: 'KILLED_SESSION', obligations: redactPath },
    });
    expect(data).not.toHaveProperty('decision.obligations.taint');
  });

  test.each([
    ['policy wants a digest', decided({ obligations: { evidence: 'digest' } })],
    ['policy wants them redacted and names nothing', decided({ obligations: { evidence: 'redacted' } })],
    ['they are redacted as a whole', decided({ obligations: { redact: { arguments: [''] } } })],
    ['policy did not answer', down('POLICY_UNAVAILABLE')],
  ])('stand as a salted digest when %s', async (_, decide) => {
    const data = await inEvidence({ decide });
    expect(data).not.toHaveProperty('arguments');
    expect(data.arguments_digest).toEqual({
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: expect.any(Number),
    });
  });

  test('are told beside the event by their salt alone where policy wants a digest', async () => {
    const { events } = await ended({ decide: decided({ obligations: { evidence: 'digest' } }) });
    const [told] = events[0]?.disclosures ?? [];
    expect(told).toEqual({ field: 'arguments_digest', salt: expect.any(String) });
    const { sha256 } = digestIn(events[0]);
    expect(matchesSaltedDigest(call.arguments, { salt: told?.salt ?? '', digest: sha256 })).toBe(true);
  });

  test('are told beside the event as evidence would hold them where they are too large for it', async () => {
    const large = { ...call.arguments, path: 'secret', text: 'x'.repeat(40_000) };
    const { events } = await ended({ decide: decided({ obligations: redactPath }) }, large);
    const value = { ...large, path: '[redacted]' };
    expect(events[0]?.disclosures).toEqual([{ field: 'arguments_digest', salt: expect.any(String), value }]);
    expect(events[0]?.data).toMatchObject({ redacted: ['/path'] });
    const { sha256 } = digestIn(events[0]);
    const { salt = '' } = events[0]?.disclosures?.[0] ?? {};
    expect(matchesSaltedDigest(value, { salt, digest: sha256 })).toBe(true);
  });
});

describe('a refused call', () => {
  test.each([
    ['POLICY_UNAVAILABLE', { decide: down('POLICY_UNAVAILABLE') }],
    ['KILL_SWITCH_UNAVAILABLE', { checkKill: down('KILL_SWITCH_UNAVAILABLE') }],
    ['POLICY_UNAVAILABLE', { decide: async () => ({ decision: allow.decision, policy }) }],
  ] as const)('denies with %s and dispatches nothing', async (code, over) => {
    const g = gate({ execute: never('execute'), ...over });
    expect(await g.run()).toMatchObject({ status: 'unavailable', code });
    expect(g.events[0]).toMatchObject({ data: { decision: { action: 'deny', code } } });
  });

  test('says killed when a kill covers it, whatever policy says', async () => {
    const g = gate({
      execute: never('execute'),
      checkKill: async () => ({ epoch: 8, killed: { scope: session, reason: 'stop' } }),
      decide: down('POLICY_UNAVAILABLE'),
    });
    expect(await g.run()).toMatchObject({
      status: 'killed',
      code: 'KILLED_SESSION',
      reason: 'session ses_0123456789 is killed: stop',
    });
  });

  test('is not dispatched when the kill arrived between the check and the dispatch', async () => {
    const g = gate({ execute: never('execute'), ownKillView: () => ({ killed: { scope: session, reason: 'stop' } }) });
    expect(await g.run()).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
    expect(g.events.map((e) => e.name)).toEqual(['call.decided', 'call.completed']);
  });

  test('is not dispatched when its own kill view is stale', async () => {
    const g = gate({
      execute: never('execute'),
      ownKillView: () => {
        throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'stale');
      },
    });
    expect(await g.run()).toMatchObject({ status: 'unavailable', code: 'KILL_SWITCH_UNAVAILABLE' });
  });

  test('is cancelled without being dispatched when the agent cancels while it is decided', async () => {
    const g = gate({ execute: never('execute') });
    endCall(g.live, { why: 'cancelled' });
    expect(await g.run()).toMatchObject({ status: 'cancelled', code: 'CANCELLED' });
  });

  test('is a timeout when its deadline passed before the dispatch', async () => {
    const g = gate({ execute: never('execute'), now: () => 30_000 });
    expect(await g.run()).toMatchObject({ status: 'timeout', code: 'TIMEOUT' });
  });
});

test('a kill outranks a cancel that came first', async () => {
  const g = gate();
  endCall(g.live, { why: 'cancelled' });
  endCall(g.live, { why: 'killed', scope: session });
  expect(await g.run()).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
});

test('answers killed within the grace period when the runner says nothing', async () => {
  const g = gate({ execute: () => new Promise<ExecuteAnswer>(() => {}) });
  const reply = g.run();
  await new Promise((resolve) => setImmediate(resolve));
  endCall(g.live, { why: 'killed', scope: session });
  expect(await reply).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
  expect(g.events.at(-1)).toMatchObject({ data: { outcome: 'unknown' } });
});
