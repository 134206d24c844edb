import { describe, expect, test } from 'vitest';
import { watchState } from '../src/watch-state.ts';
import { createScene, eventOf, sessionOf } from './fixtures.ts';

const thrice = { id: 'probing', count: 3, window_s: 60 };
const denials = (more: object = {}) => ({ denials: [{ ...thrice, ...more }] });

describe('denials', () => {
  test.each<[string, object, number[], string[]]>([
    ['nothing for fewer than the rule names', {}, [0, 1], []],
    ['the agent for as many within the time', {}, [0, 30, 59], ['agent demo']],
    ['nothing where they are further apart', {}, [0, 30, 60], []],
    ['the agent once the last of a longer row are close together', {}, [0, 50, 80, 100], ['agent demo']],
    ['the session where the rule says so', { contains: 'session' }, [0, 1, 2], [`session ${sessionOf(1)}`]],
    ['at the first where one is enough', { count: 1 }, [0], ['agent demo']],
  ])('stops %s', (_, more, times, scopes) => {
    const scene = createScene(denials(more));
    for (const at of times) {
      scene.at = at;
      scene.refuse();
    }
    expect(scene.scopes()).toEqual(scopes);
  });

  test('names the rule, why, and the events that led there', () => {
    const scene = createScene(denials());
    for (let i = 0; i < 3; i++) scene.refuse();
    expect(scene.watch.pending()).toEqual([
      expect.objectContaining({
        rule: 'probing',
        kind: 'denials',
        reason: '3 refused calls within 60 s (rule probing)',
        events: [eventOf(0), eventOf(1), eventOf(2)],
        scope: { kind: 'agent', id: 'demo', tenant: 'default' },
      }),
    ]);
  });

  test('counts nobody else: another agent, the same name in another tenant', () => {
    const scene = createScene(denials());
    for (const by of [{}, { agent: 'second' }, { tenant: 'acme' }, {}, { agent: 'second' }]) scene.refuse(by);
    expect(scene.scopes()).toEqual([]);
    scene.refuse({ tenant: 'acme' });
    scene.refuse({ tenant: 'acme' });
    expect(scene.watch.pending().map(({ scope }) => scope)).toEqual([{ kind: 'agent', id: 'demo', tenant: 'acme' }]);
  });

  test('counts by session where the rule says so', () => {
    const scene = createScene(denials({ per: 'session', contains: 'session' }));
    for (const n of [1, 2, 1, 2]) scene.refuse({ session: sessionOf(n) });
    expect(scene.scopes()).toEqual([]);
    scene.refuse({ session: sessionOf(2) });
    expect(scene.scopes()).toEqual([`session ${sessionOf(2)}`]);
  });

  test("never stops a session that is not shown to be the agent's own: then it is the agent", () => {
    const scene = createScene(denials({ contains: 'session' }));
    for (let i = 0; i < 3; i++) scene.refuse({ session: null }, 'UNKNOWN_SESSION');
    expect(scene.scopes()).toEqual(['agent demo']);
    const bySession = createScene(denials({ per: 'session', contains: 'session' }));
    for (let i = 0; i < 30; i++) bySession.refuse({ session: null }, 'UNKNOWN_SESSION');
    expect(bySession.scopes()).toEqual([]);
  });

  test('counts only the codes that the rule names', () => {
    const scene = createScene(denials({ codes: ['RATE_LIMITED'] }));
    for (let i = 0; i < 9; i++) scene.refuse({}, 'NO_GRANT');
    expect(scene.scopes()).toEqual([]);
    for (let i = 0; i < 3; i++) scene.refuse({}, 'RATE_LIMITED');
    expect(scene.scopes()).toEqual(['agent demo']);
  });

  test('stops an agent once, until somebody lifts it; what was before does not count after', () => {
    const scene = createScene(denials());
    for (let i = 0; i < 9; i++) scene.refuse();
    expect(scene.scopes()).toEqual(['agent demo']);
    scene.watch.done(scene.watch.pending()[0]?.id ?? '');
    for (let i = 0; i < 9; i++) scene.refuse();
    expect(scene.scopes()).toEqual([]);
    scene.lift('agent:default:demo');
    scene.refuse();
    scene.refuse();
    expect(scene.scopes()).toEqual([]);
    scene.refuse();
    expect(scene.scopes()).toEqual(['agent demo']);
  });

  test('stops nobody for what somebody has looked at since: a lift takes back what is pending', () => {
    const scene = createScene(denials());
    for (let i = 0; i < 3; i++) scene.refuse();
    scene.lift('agent:default:demo');
    expect(scene.scopes()).toEqual([]);
  });

  test('stops the agent when it only opens the next session', () => {
    const scene = createScene({
      ...denials({ contains: 'session', count: 1 }),
      escalate: { sessions: 3, window_s: 600 },
    });
    for (const n of [1, 2, 3]) scene.refuse({ session: sessionOf(n) });
    expect(scene.scopes()).toEqual([`session ${sessionOf(1)}`, `session ${sessionOf(2)}`, 'agent demo']);
    scene.refuse({ session: sessionOf(4) });
    expect(scene.scopes()).toHaveLength(3);
  });
});

describe('who is stopped', () => {
  const stoppedOnce = () => {
    const scene = createScene(denials());
    for (let i = 0; i < 3; i++) scene.refuse();
    scene.watch.done(scene.watch.pending()[0]?.id ?? '');
    return scene;
  };
  test('is stopped anew when it is at large without a word of who let it go', () => {
    const scene = stoppedOnce();
    scene.at = 599;
    for (let i = 0; i < 9; i++) scene.refuse();
    expect(scene.scopes()).toEqual([]);
    scene.at = 610;
    for (let i = 0; i < 9; i++) scene.refuse();
    expect(scene.scopes()).toEqual(['agent demo']);
  });

  test('is to be stopped once, however long nobody can', () => {
    const scene = createScene(denials());
    for (const at of [0, 700, 1_400]) {
      scene.at = at;
      for (let i = 0; i < 9; i++) scene.refuse();
    }
    expect(scene.scopes()).toEqual(['agent demo']);
  });

  test('is the agent itself where one session is enough for that', () => {
    const scene = createScene({
      ...denials({ contains: 'session', count: 1 }),
      escalate: { sessions: 1, window_s: 600 },
    });
    scene.refuse();
    expect(scene.scopes()).toEqual(['agent demo']);
  });

  test('stays few, however many sessions are stopped', () => {
    const scene = createScene({
      ...denials({ contains: 'session', count: 1 }),
      escalate: { sessions: 16, window_s: 1 },
    });
    for (let i = 0; i < 17_000; i++) {
      scene.at = i;
      scene.refuse({ session: sessionOf(i) });
      for (const { id } of scene.watch.pending()) scene.watch.done(id);
    }
    expect(scene.watch.state().stopped.length).toBeLessThanOrEqual(16_384);
    expect(scene.watch.state().stopped.at(-1)?.[0]).toBe(`session:${sessionOf(16_999)}`);
  });
});

describe('canaries', () => {
  const canaries = { canaries: [{ id: 'honey', tools: ['payroll/export_*'], credentials: ['decoy'] }] };
  test.each<[string, object, string | undefined]>([
    [
      'a tool that matches, refused',
      { kind: 'decided', tool: 'payroll/export_all', refused: 'UNKNOWN_TOOL', baits: [] },
      'the canary tool payroll/export_all was called (rule honey)',
    ],
    [
      'a tool that matches, allowed',
      { kind: 'decided', tool: 'payroll/export_all', baits: [] },
      'the canary tool payroll/export_all was called (rule honey)',
    ],
    ['another tool', { kind: 'decided', tool: 'payroll/list', baits: [] }, undefined],
    [
      'a lease of the credential',
      { kind: 'leased', credential: 'decoy' },
      'a lease of the canary credential decoy was asked for (rule honey)',
    ],
    ['a lease of another', { kind: 'leased', credential: 'crm' }, undefined],
    [
      'a value in the arguments',
      { kind: 'decided', tool: 'web/post', baits: ['honey/aws'] },
      "the canary value honey/aws stood in a call's arguments (rule honey)",
    ],
    ["another rule's value", { kind: 'decided', tool: 'web/post', baits: ['other/aws'] }, undefined],
  ])('%s', (_, what, reason) => {
    const scene = createScene(canaries);
    scene.happen(what as { kind: string });
    expect(scene.watch.pending().map((trigger) => trigger.reason)).toEqual(reason === undefined ? [] : [reason]);
  });
});

describe('breakers', () => {
  const errors = (more: object = {}) => ({
    breakers: [{ id: 'crm', tools: ['crm/*'], window_s: 60, errors: { share: 0.5, calls: 4 }, ...more }],
  });
  test('trip on the share of failed calls, for the tool in its tenant', () => {
    const scene = createScene(errors());
    for (let i = 0; i < 2; i++) for (const agent of ['a', 'b', 'c']) scene.call('crm/get', true, { agent });
    expect(scene.watch.pending().map(({ scope }) => scope)).toEqual([
      { kind: 'tool', id: 'crm/get', tenant: 'default' },
    ]);
  });
  test('never trip by the calls of one agent alone, however many they are', () => {
    const scene = createScene(errors());
    for (let i = 0; i < 2_000; i++) scene.call('crm/get', true, { agent: 'evil' });
    for (let i = 0; i < 9; i++) scene.call('crm/get', false, { agent: `honest-${i}` });
    scene.call('crm/get', true, { agent: 'honest-0' });
    expect(scene.scopes()).toEqual([]);
  });
  test('need as many agents as the rule says', () => {
    const alone = createScene(errors({ agents: 1 }));
    for (let i = 0; i < 4; i++) alone.call('crm/get', true);
    expect(alone.scopes()).toEqual(['tool crm/get']);
    const three = createScene(errors({ agents: 3 }));
    for (let i = 0; i < 50; i++) for (const agent of ['a', 'b']) three.call('crm/get', true, { agent });
    expect(three.scopes()).toEqual([]);
  });
  test('forget what is older than the window, and do not mind honest failures', () => {
    const scene = createScene(errors({ agents: 1 }));
    for (let i = 0; i < 3; i++) scene.call('crm/get', true);
    scene.at = 61;
    scene.call('crm/get', true);
    for (let i = 0; i < 20; i++) scene.call('crm/get', i % 4 === 3);
    expect(scene.scopes()).toEqual([]);
  });
  test('once somebody lets the tool go on, count none of what ended after it was stopped', () => {
    const scene = createScene({
      breakers: [{ id: 'b', tools: ['crm/*'], window_s: 600, errors: { share: 0.5, calls: 2 }, agents: 1 }],
    });
    for (let i = 0; i < 8; i++) scene.call('crm/get', true);
    for (const { id } of scene.watch.pending()) scene.watch.done(id);
    scene.lift('tool:default:crm/get');
    scene.call('crm/get', true);
    expect(scene.scopes()).toEqual([]);
    scene.call('crm/get', true);
    expect(scene.scopes()).toEqual(['tool crm/get']);
  });

  test('trip on more calls than the budget, without those of the loudest', () => {
    const scene = createScene({ breakers: [{ id: 'crm', tools: ['crm/*'], window_s: 60, budget: 10 }] });
    for (let i = 0; i < 500; i++) scene.call('crm/get', false, { agent: 'loud' });
    for (let i = 0; i < 10; i++) scene.call('crm/get', false, { agent: 'calm' });
    expect(scene.scopes()).toEqual([]);
    scene.call('crm/get', false, { agent: 'calm' });
    expect(scene.scopes()).toEqual(['tool crm/get']);
  });
});

describe('risk', () => {
  const risk = (more: object = {}) => ({
    risk: [
      {
        id: 'risk',
        limit: 4,
        half_life_s: 60,
        weights: { NO_GRANT: 1, UNKNOWN_TOOL: 2, approval_rejected: 4, tool_error: 2 },
        ...more,
      },
    ],
  });
  test.each<[string, [at: number, weight: 'NO_GRANT' | 'UNKNOWN_TOOL'][], boolean]>([
    [
      'adds weights up to the limit',
      [
        [0, 'UNKNOWN_TOOL'],
        [0, 'NO_GRANT'],
        [0, 'NO_GRANT'],
      ],
      true,
    ],
    [
      'is not enough below the limit',
      [
        [0, 'UNKNOWN_TOOL'],
        [0, 'NO_GRANT'],
      ],
      false,
    ],
    [
      'halves in its half-life',
      [
        [0, 'UNKNOWN_TOOL'],
        [60, 'UNKNOWN_TOOL'],
        [60, 'NO_GRANT'],
      ],
      true,
    ],
    [
      'is less than it was after a second',
      [
        [0, 'UNKNOWN_TOOL'],
        [1, 'UNKNOWN_TOOL'],
      ],
      false,
    ],
    [
      'is gone after a long time',
      [
        [0, 'UNKNOWN_TOOL'],
        [6_000, 'UNKNOWN_TOOL'],
      ],
      false,
    ],
  ])('%s', (_, events, stops) => {
    const scene = createScene(risk());
    for (const [at, code] of events) {
      scene.at = at;
      scene.refuse({}, code);
    }
    expect(scene.scopes()).toEqual(stops ? ['agent demo'] : []);
  });
  test('weighs what a person rejected, and what a tool did only where the rule says so', () => {
    const scene = createScene(risk());
    scene.happen({ kind: 'approval_rejected' });
    expect(scene.scopes()).toEqual(['agent demo']);
    const byDefault = createScene({ risk: [{ id: 'risk', limit: 1, half_life_s: 60 }] });
    for (let i = 0; i < 99; i++) byDefault.call('crm/get', true, {}, ['tool_error', 'secret_in_result']);
    expect(byDefault.scopes()).toEqual([]);
  });
});

test('an orphan stops the session whose call it was', () => {
  const scene = createScene({ anomalies: [{ id: 'lost' }] });
  scene.happen({ kind: 'anomaly', anomaly: 'hole' });
  expect(scene.scopes()).toEqual([]);
  scene.happen({ kind: 'anomaly', anomaly: 'orphan' });
  expect(scene.scopes()).toEqual([`session ${sessionOf(1)}`]);
});

describe('what is counted', () => {
  test('counts once, however often it comes', () => {
    const scene = createScene(denials());
    const { index, happening } = scene.refuse();
    for (let i = 0; i < 9; i++) scene.watch.take(index, happening);
    expect(scene.scopes()).toEqual([]);
  });

  test('is the same for whoever goes on from what was written down', () => {
    const rules = {
      ...denials(),
      risk: [{ id: 'risk', limit: 5, half_life_s: 600 }],
      breakers: [{ id: 'b', tools: ['*/*'], window_s: 60, budget: 3, agents: 1 }],
    };
    const whole = createScene(rules);
    const first = createScene(rules);
    const acts: ((scene: typeof whole) => void)[] = [
      (s) => s.refuse(),
      (s) => s.call('crm/get', true),
      (s) => s.refuse({}, 'UNKNOWN_SESSION'),
      (s) => s.call('crm/get', false),
      (s) => s.refuse({ agent: 'second' }),
      (s) => s.call('crm/get', false),
      (s) => s.refuse(),
      (s) => s.call('crm/get', false),
    ];
    for (const act of acts) act(whole);
    for (const act of acts.slice(0, 4)) act(first);
    const written = watchState.parse(JSON.parse(JSON.stringify(first.watch.state())));
    const second = createScene(rules, written);
    for (const act of acts.slice(4)) act(second);
    expect(second.watch.pending()).toEqual(whole.watch.pending());
    expect(whole.watch.pending()).toHaveLength(2);
  });

  test('of rules that have changed does not count for those of today, and who is stopped stays so', () => {
    const scene = createScene(denials());
    for (let i = 0; i < 3; i++) scene.refuse();
    scene.refuse({ agent: 'second' });
    scene.refuse({ agent: 'second' });
    const after = createScene(denials({ window_s: 61 }), scene.watch.state());
    after.refuse({ agent: 'second' });
    for (let i = 0; i < 3; i++) after.refuse();
    expect(after.scopes()).toEqual(['agent demo']);
  });

  test('stays small under a flood of sessions, and the flood hides nothing that its agent does', () => {
    const scene = createScene(denials({ count: 256, per: 'session', contains: 'session' }));
    for (let i = 0; i < 5_000; i++) scene.refuse({ session: sessionOf(i) });
    expect(JSON.stringify(scene.watch.state()).length).toBeLessThan(32_768);
    const byAgent = createScene(denials({ count: 256 }));
    for (let i = 0; i < 256; i++) byAgent.refuse({ session: sessionOf(i) });
    expect(byAgent.scopes()).toEqual(['agent demo']);
  });

  test('one agent that floods leaves the others counted', () => {
    const scene = createScene(denials());
    scene.refuse({ agent: 'second' });
    scene.refuse({ agent: 'second' });
    for (let i = 0; i < 5_000; i++) scene.refuse({ agent: 'demo', session: sessionOf(i) });
    scene.refuse({ agent: 'second' });
    expect(scene.scopes()).toEqual(['agent demo', 'agent second']);
  });
});
