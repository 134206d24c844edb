import { AgentGateError, approvalDomain, approvalLines, type Scope } from '@agentgate/contracts';
import { canonical, createKeyRing, generateSigningKey, sealBatch } from '@agentgate/evidence';
import { approvalBinding } from '@agentgate/runtime';
import { describe, expect, test } from 'vitest';
import { digestOf, echoTool } from './fixtures/echo-tool.ts';
import { fakeRunner, type fakeUpstream, now, ok, until } from './fixtures/fakes.ts';
import { type PermittedOptions, permitted } from './fixtures/permitted.ts';

const allowed = (options: Partial<PermittedOptions> = {}) => permitted({ now, ...options });
const refused = (code: string, reason: string) => ({
  outcome: 'refused',
  code,
  reason,
  duration_ms: expect.any(Number),
  redacted: [],
});

test('runs a permitted call once and gives its result', async () => {
  const { runner, upstream } = fakeRunner();
  const ask = allowed();
  expect(await runner.execute(ask)).toEqual({
    outcome: 'ok',
    code: 'OK',
    reason: 'the tool ran',
    result: { content: [{ type: 'text', text: 'done' }] },
    duration_ms: expect.any(Number),
    redacted: [],
  });
  expect(upstream.sent).toMatchObject([
    { call: ask.call, tool: 'echo', arguments: { text: 'hello' }, deadline: ask.deadline },
  ]);
  expect(upstream.released).toBe(1);
});

describe('a compromised ingress runs nothing', () => {
  test('with a permit that it forged', async () => {
    const { runner, upstream } = fakeRunner();
    expect(await runner.execute(allowed({ key: generateSigningKey() }))).toEqual(
      refused('POLICY_DENIED', 'permit: policy did not sign it'),
    );
    expect(upstream.sent).toEqual([]);
  });

  test('a second time with the same permit', async () => {
    const { runner, upstream } = fakeRunner();
    const ask = allowed();
    await runner.execute(ask);
    expect(await runner.execute(ask)).toEqual(refused('POLICY_DENIED', 'permit: it was used already'));
    expect(upstream.sent).toHaveLength(1);
  });

  test('with one permit many times at once', async () => {
    const { runner, upstream } = fakeRunner();
    const ask = allowed();
    const answers = await Promise.all([1, 2, 3, 4].map(() => runner.execute(ask)));
    expect(answers.filter((a) => a.outcome === 'ok')).toHaveLength(1);
    expect(answers.filter((a) => a.outcome === 'refused')).toHaveLength(3);
    expect(upstream.sent).toHaveLength(1);
  });

  test('with a permit that another replica used', async () => {
    const { runner, upstream, marks } = fakeRunner();
    const ask = allowed();
    marks.seen.add(ask.permit.claims.id);
    expect(await runner.execute(ask)).toEqual(refused('POLICY_DENIED', 'permit: it was used already'));
    expect(upstream.sent).toEqual([]);
  });

  test('with other arguments than were permitted', async () => {
    const { runner, upstream } = fakeRunner();
    expect(await runner.execute({ ...allowed(), arguments: { text: 'other' } })).toEqual(
      refused('POLICY_DENIED', 'permit: it is for another call'),
    );
    expect(upstream.sent).toEqual([]);
  });

  test('by telling an old epoch: the runner asks its own kill view', async () => {
    const { runner, upstream, kill } = fakeRunner();
    kill.killed.set('agent:default:demo', { kind: 'agent', id: 'demo' });
    expect(await runner.execute(allowed({ call: { epoch: 0 } }))).toEqual(
      refused('KILLED_AGENT', 'agent demo is killed: test'),
    );
    expect(upstream.sent).toEqual([]);
  });
});

describe('refuses, and runs nothing,', () => {
  const nothingRan = async (set: ReturnType<typeof fakeRunner>, ask = allowed()) => {
    const answer = await set.runner.execute(ask);
    expect(set.upstream.sent).toEqual([]);
    return answer;
  };

  test('while its kill view is stale', async () => {
    const set = fakeRunner();
    set.kill.stale = true;
    expect(await nothingRan(set)).toEqual(
      refused('KILL_SWITCH_UNAVAILABLE', 'nobody vouched for the kill view for 4000 ms'),
    );
  });

  test('while its kill view is older than the time after which a kill is answered without it', async () => {
    const set = fakeRunner();
    set.kill.ageMs = 1_901;
    expect(await nothingRan(set)).toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
    set.kill.ageMs = 1_900;
    expect(await set.runner.execute(allowed())).toMatchObject({ code: 'OK' });
  });

  test('when its kill view does not reach the epoch that ingress decided at', async () => {
    expect(await nothingRan(fakeRunner(), allowed({ call: { epoch: 7 } }))).toEqual(
      refused('KILL_SWITCH_UNAVAILABLE', "the tool-runner's kill view has not reached epoch 7"),
    );
  });

  test('when Redis does not answer', async () => {
    const set = fakeRunner();
    set.marks.down = true;
    expect(await nothingRan(set)).toEqual(
      refused('RUNNER_UNAVAILABLE', 'the permit cannot be marked as used: Redis does not answer'),
    );
  });

  test("when the tool's own schema does not allow the arguments", async () => {
    expect(await nothingRan(fakeRunner(), allowed({ call: { arguments: { text: 1 } } }))).toEqual(
      refused('FIELD_INVALID', '/arguments/text: must be string'),
    );
  });

  test.each([
    ['probe/other', 'UNKNOWN_TOOL', 'probe offers no such tool'],
    ['nowhere/echo', 'UNKNOWN_TOOL', 'no server offers nowhere/echo'],
  ])('a tool that is not there: %s', async (tool, code, reason) => {
    expect(await nothingRan(fakeRunner(), allowed({ call: { tool } }))).toEqual(refused(code, reason));
  });

  test('a tool that waits for an operator', async () => {
    const set = fakeRunner();
    set.quarantined.why = 'tool probe/echo is quarantined';
    expect(await nothingRan(set)).toEqual(refused('TOOL_QUARANTINED', 'tool probe/echo is quarantined'));
  });
  test('a tool that is defined otherwise than policy judged it', async () => {
    const schema_digest = 'b'.repeat(64);
    expect(await nothingRan(fakeRunner(), allowed({ claims: { schema_digest } }))).toEqual(
      refused('TOOL_QUARANTINED', 'tool probe/echo is defined otherwise than when the call was permitted'),
    );
  });
  test.each<[string, string, (set: ReturnType<typeof fakeRunner>) => unknown]>([
    [
      'is defined otherwise',
      'TOOL_QUARANTINED',
      ({ upstream }) => upstream.list([{ ...echoTool, description: 'Deletes.' }]),
    ],
    ['is gone', 'UNKNOWN_TOOL', ({ upstream }) => upstream.list([])],
    ['waits for an operator', 'TOOL_QUARANTINED', (set) => Object.assign(set.quarantined, { why: 'it waits' })],
    [
      'may be another',
      'UPSTREAM_UNAVAILABLE',
      ({ upstream }) => Object.assign(upstream, { changing: new Promise(() => {}) }),
    ],
  ])('a tool that %s by the time the way to it is prepared', async (_, code, change) => {
    const set = fakeRunner();
    set.upstream.beforeSend = () => void change(set);
    expect(await nothingRan(set)).toMatchObject({ outcome: 'refused', code });
  });
  test('waits for the new list of a server that says its tools changed, and holds the call against that', async () => {
    const set = fakeRunner();
    const { promise, resolve } = Promise.withResolvers<void>();
    set.upstream.changing = promise;
    const answer = nothingRan(set);
    set.upstream.list([{ ...echoTool, description: 'Deletes.' }]);
    set.upstream.changing = undefined;
    resolve();
    expect(await answer).toMatchObject({ outcome: 'refused', code: 'TOOL_QUARANTINED' });
  });

  test('when the tool server is down', async () => {
    const set = fakeRunner();
    set.upstream.down = 'probe cannot be reached: gone';
    expect(await nothingRan(set)).toEqual(refused('UPSTREAM_UNAVAILABLE', 'probe cannot be reached: gone'));
  });

  test('when the witnesses did not see the decision, and the permit is not used up by that', async () => {
    let isSeen = false;
    const witnessed = () => {
      if (!isSeen) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'no proof came with it');
    };
    const set = fakeRunner({ ports: { witnessed } });
    const ask = allowed();
    expect(await nothingRan(set, ask)).toEqual(refused('EVIDENCE_UNAVAILABLE', 'no proof came with it'));
    isSeen = true;
    expect(await set.runner.execute(ask)).toMatchObject({ outcome: 'ok' });
  });

  test.each([[{ credential: { name: 'crm-key' } }, 'CREDENTIAL_UNAVAILABLE']])(
    'an obligation that it cannot carry out: %j',
    async (obligations, code) => {
      expect(await nothingRan(fakeRunner(), allowed({ claims: { obligations } }))).toMatchObject({
        outcome: 'refused',
        code,
      });
    },
  );

  describe('an approval in the permit', () => {
    const approvals = generateSigningKey();
    const trust = createKeyRing([{ signer: 'approvals', publicKey: approvals.publicKey }]);
    const schema_digest = digestOf(echoTool);
    const withApproval = (change: { bound?: object; claims?: object; key?: typeof approvals } = {}) => {
      const call = 'call_approved01';
      const bound = {
        tenant: 'default',
        agent: 'demo',
        session: 'ses_0123456789',
        tool: 'probe/echo',
        arguments: { text: 'hello' },
        schema_digest,
        policy: { digest: 'a'.repeat(64) },
        ...change.bound,
      };
      const claims = {
        approval: 'apr_0123456789',
        binding: approvalBinding(bound),
        by: ['ann'],
        call,
        expires_at: now + 60_000,
        granted_at: now,
        v: 1 as const,
        ...change.claims,
      };
      const [seal] = sealBatch({
        domain: approvalDomain,
        lines: approvalLines,
        leaves: [canonical(claims)],
        key: change.key ?? approvals,
      });
      if (!seal) throw new Error('no seal');
      return allowed({ call: { call }, claims: { approval: { claims, seal: { ...seal, path: [...seal.path] } } } });
    };
    test('that is for this very call lets it run', async () => {
      const { runner } = fakeRunner({ ports: { trust } });
      expect(await runner.execute(withApproval())).toMatchObject({ outcome: 'ok' });
    });
    test.each<[string, Parameters<typeof withApproval>[0]]>([
      ['the approvals service did not sign it', { key: generateSigningKey() }],
      ['it was taken for another call', { claims: { call: 'call_another001' } }],
      ['it is for another call', { bound: { arguments: { text: 'hellO' } } }],
      ['it is for another call', { bound: { session: 'ses_9876543210' } }],
      ['it is for another call', { bound: { tenant: 'acme' } }],
      ['it is for another call', { bound: { schema_digest: 'b'.repeat(64) } }],
      ['it is for another call', { bound: { policy: { digest: 'b'.repeat(64) } } }],
      ['who asks does not approve', { claims: { by: ['ann', 'demo'] } }],
      ['it has expired', { claims: { expires_at: now } }],
    ])('is refused with APPROVAL_INVALID: %s', async (why, change) => {
      expect(await nothingRan(fakeRunner({ ports: { trust } }), withApproval(change))).toEqual(
        refused('APPROVAL_INVALID', `approval: ${why}`),
      );
    });
  });

  test('a tool that needs a credential when the permit names none', async () => {
    expect(await nothingRan(fakeRunner({ credential: 'crm-key' }))).toEqual(
      refused('CREDENTIAL_UNAVAILABLE', 'the tool needs a credential, and the permit names none'),
    );
  });

  test('when the kill comes after all checks, while the way to the tool is prepared', async () => {
    const set = fakeRunner();
    set.upstream.beforeSend = () => void set.kill.killed.set('global', { kind: 'global' });
    expect(await nothingRan(set)).toEqual(refused('KILLED_GLOBAL', 'everything is killed: test'));
    expect(set.upstream.released).toBe(1);
  });

  test.each([
    ['the deadline', 10_000, 'TIMEOUT', 'the deadline passed before the tool was called'],
    ['the expiry of the permit', 5_000, 'POLICY_DENIED', 'permit: it expired before the tool was called'],
  ])('when %s passes while the way to the tool is prepared', async (_, ms, code, reason) => {
    const set = fakeRunner();
    set.upstream.beforeSend = () => {
      set.clock.now = now + ms;
    };
    expect(await nothingRan(set)).toEqual(refused(code, reason));
  });

  test('more calls than may be in flight', async () => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    const running = Array.from({ length: 8 }, () => set.runner.execute(allowed()));
    await until(() => set.upstream.sent.length === 8);
    expect(await set.runner.execute(allowed())).toEqual(refused('OVERLOADED', 'too many calls are running'));
    for (const call of set.upstream.sent) call.end(ok());
    await Promise.all(running);
  });

  test('once it is stopping', async () => {
    const set = fakeRunner();
    await set.runner.drain(0);
    expect(await nothingRan(set)).toEqual(refused('RUNNER_UNAVAILABLE', 'the tool-runner is stopping'));
  });
});

describe('what the tool says', () => {
  test.each([
    [
      { kind: 'error', reason: 'no such row' } as const,
      { outcome: 'tool_error', code: 'TOOL_ERROR', reason: 'no such row' },
    ],
    [
      { kind: 'lost', reason: 'the connection broke' } as const,
      { outcome: 'unknown', code: 'OUTCOME_UNKNOWN', reason: 'the connection broke' },
    ],
    [
      { kind: 'not_sent', code: 'UPSTREAM_UNAVAILABLE', reason: 'down' } as const,
      { outcome: 'refused', code: 'UPSTREAM_UNAVAILABLE', reason: 'down' },
    ],
    [
      { kind: 'result', result: { content: [], isError: true } } as const,
      { outcome: 'tool_error', code: 'TOOL_ERROR', result: { content: [], isError: true } },
    ],
  ])('becomes its outcome: %j', async (end, outcome) => {
    const { runner, upstream } = fakeRunner();
    upstream.answer = () => end;
    expect(await runner.execute(allowed())).toMatchObject(outcome);
  });
});

describe('a credential', () => {
  const withCredential = () => allowed({ claims: { obligations: { credential: { name: 'crm-key' } } } });

  test('goes to the tool, its lease is released, and neither result nor reason holds it', async () => {
    const { runner, upstream, leases } = fakeRunner({ credential: 'crm-key' });
    upstream.answer = () => ok('you sent top-secret-0123456789');
    const ask = withCredential();
    const answer = await runner.execute(ask);
    expect(upstream.sent).toMatchObject([{ secret: 'top-secret-0123456789' }]);
    expect(answer).toMatchObject({
      outcome: 'ok',
      lease: `lease/${ask.permit.claims.id}`,
      redacted: ['/content/0/text'],
      result: { content: [{ text: 'you sent [redacted]' }] },
    });
    expect(leases.released).toEqual([`lease/${ask.permit.claims.id}`]);
    upstream.answer = () => ({ kind: 'error', reason: 'bad key top-secret-0123456789' });
    expect(await runner.execute(withCredential())).toMatchObject({
      outcome: 'tool_error',
      reason: 'bad key [redacted]',
    });
  });

  test('that the broker does not give refuses the call', async () => {
    const { runner, upstream, leases } = fakeRunner({ credential: 'crm-key' });
    leases.fail = new AgentGateError('BROKER_UNAVAILABLE', 'credential-broker is not running');
    expect(await runner.execute(withCredential())).toEqual(
      refused('BROKER_UNAVAILABLE', 'credential-broker is not running'),
    );
    expect(upstream.sent).toEqual([]);
  });

  test('is released when the kill comes after it was leased', async () => {
    const { runner, upstream, leases, kill } = fakeRunner({ credential: 'crm-key' });
    upstream.beforeSend = () => void kill.killed.set('global', { kind: 'global' });
    expect(await runner.execute(withCredential())).toMatchObject({ outcome: 'refused', code: 'KILLED_GLOBAL' });
    expect(leases.released).toHaveLength(1);
  });
});

describe('ending a call', () => {
  const running = async (onStop: ReturnType<typeof fakeUpstream>['onStop']) => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = onStop;
    const ask = allowed();
    const answer = set.runner.execute(ask);
    await until(() => set.upstream.sent.length === 1);
    return { ...set, ask, answer };
  };

  test('is aborted when the tool confirms', async () => {
    const { runner, upstream, ask, answer } = await running({ kind: 'stopped' });
    expect(await runner.cancel(ask.call, 'cancelled')).toBe('aborted');
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'CANCELLED' });
    expect(upstream.sent[0]?.stopped).toEqual(['cancelled']);
  });

  test('is refused with what ended it when it was taken back before it was handed over', async () => {
    const withdrawn = { kind: 'not_sent', code: 'CANCELLED', reason: 'taken back' } as const;
    const { runner, ask, answer } = await running(withdrawn);
    expect(await runner.contain(1, { kind: 'global' })).toEqual([{ call: ask.call, fate: 'aborted' }]);
    expect(await answer).toMatchObject(refused('KILLED_GLOBAL', 'everything is killed: killed by an operator'));
  });

  test('is completed when the result comes all the same', async () => {
    const { runner, ask, answer } = await running(ok('late'));
    expect(await runner.cancel(ask.call, 'cancelled')).toBe('completed');
    expect(await answer).toMatchObject({ outcome: 'ok', result: { content: [{ text: 'late' }] } });
  });

  test('is unknown when the tool says nothing within 250 ms', async () => {
    const { runner, ask, answer } = await running(undefined);
    const began = performance.now();
    expect(await runner.cancel(ask.call, 'cancelled')).toBe('unknown');
    expect(performance.now() - began).toBeLessThan(400);
    expect(await answer).toMatchObject({ outcome: 'unknown', code: 'OUTCOME_UNKNOWN' });
  });

  test('by a kill aborts every call in scope at once and no other, and stops what comes after', async () => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = { kind: 'stopped' };
    const inScope = [allowed(), allowed()];
    const other = allowed({ call: { session: 'ses_other_00000' } });
    const answers = [...inScope, other].map((ask) => set.runner.execute(ask));
    await until(() => set.upstream.sent.length === 3);
    const scope: Scope = { kind: 'session', id: 'ses_0123456789' };
    expect(await set.runner.contain(1, scope)).toEqual(inScope.map(({ call }) => ({ call, fate: 'aborted' })));
    for (const answer of answers.slice(0, 2))
      expect(await answer).toMatchObject({ outcome: 'aborted', code: 'KILLED_SESSION' });
    expect(await set.runner.execute(allowed())).toMatchObject({ outcome: 'refused', code: 'KILLED_SESSION' });
    set.upstream.sent[2]?.end(ok());
    expect(await answers[2]).toMatchObject({ outcome: 'ok' });
  });

  test('by a kill is answered after the order was confirmed, which thousands of answers would hold up', async () => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = { kind: 'stopped' };
    const order: string[] = [];
    const answers = Array.from({ length: 4 }, () =>
      set.runner.execute(allowed()).then(({ code }) => void order.push(code)),
    );
    await until(() => set.upstream.sent.length === 4);
    await set.runner.contain(1, { kind: 'global' }).then(() => void order.push('confirmed'));
    await Promise.all(answers);
    expect(order).toEqual(['confirmed', ...answers.map(() => 'KILLED_GLOBAL')]);
  });

  test('by a hold is aborted at once; the order that follows tells of it, and only then it is answered', async () => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = { kind: 'stopped' };
    const scope: Scope = { kind: 'session', id: 'ses_0123456789' };
    const [ask, other] = [allowed(), allowed({ call: { session: 'ses_other_00000' } })];
    const order: string[] = [];
    const answer = set.runner.execute(ask).then(({ code }) => void order.push(code));
    const spared = set.runner.execute(other);
    await until(() => set.upstream.sent.length === 2);
    set.runner.hold(scope);
    await until(() => set.upstream.sent[0]?.stopped.length === 1);
    await set.runner.contain(1, scope).then((calls) => {
      expect(calls).toEqual([{ call: ask.call, fate: 'aborted' }]);
      order.push('confirmed');
    });
    await answer;
    expect(order).toEqual(['confirmed', 'KILLED_SESSION']);
    set.upstream.sent[1]?.end(ok());
    expect(await spared).toMatchObject({ outcome: 'ok' });
  });

  test('by a hold is answered without an order, too', async () => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = { kind: 'stopped' };
    const answer = set.runner.execute(allowed());
    await until(() => set.upstream.sent.length === 1);
    set.runner.hold({ kind: 'global' });
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'KILLED_GLOBAL' });
  });

  test('by a kill tells of calls that ended in the last 5 s', async () => {
    const { runner, clock } = fakeRunner();
    const ask = allowed();
    await runner.execute(ask);
    clock.now = now + 4_000;
    expect(await runner.contain(1, { kind: 'global' })).toEqual([{ call: ask.call, fate: 'completed' }]);
    clock.now = now + 5_001;
    expect(await runner.contain(2, { kind: 'global' })).toEqual([]);
  });

  test('before it was sent is aborted, and nothing runs', async () => {
    const set = fakeRunner();
    const { promise, resolve } = Promise.withResolvers<void>();
    set.upstream.beforeSend = () => promise;
    const ask = allowed();
    const answer = set.runner.execute(ask);
    await until(() => set.marks.seen.size === 1);
    expect(await set.runner.cancel(ask.call, 'cancelled')).toBe('aborted');
    expect(await answer).toMatchObject({ outcome: 'refused', code: 'CANCELLED' });
    resolve();
    await until(() => set.upstream.released === 1);
    expect(set.upstream.sent).toEqual([]);
  });

  test.each(Array.from({ length: 12 }, (_, depth) => depth))(
    'that was told to be aborted never runs, however close to its start (%i turns)',
    async (depth) => {
      const set = fakeRunner();
      const ask = allowed();
      let fate: Promise<unknown> | undefined;
      let wasSent = true;
      const later = (turns: number): void =>
        queueMicrotask(() => {
          if (turns > 0) return later(turns - 1);
          wasSent = set.upstream.sent.length > 0;
          fate = set.runner.cancel(ask.call, 'cancelled');
        });
      set.upstream.beforeSend = () => later(depth);
      await set.runner.execute(ask);
      expect(set.upstream.sent).toHaveLength(wasSent ? 1 : 0);
      if ((await fate) === 'aborted') expect(set.upstream.sent).toEqual([]);
    },
  );

  test('before it arrived refuses it on arrival, and uses nothing up', async () => {
    const { runner, upstream, marks } = fakeRunner();
    const ask = allowed();
    expect(await runner.cancel(ask.call, 'cancelled')).toBeUndefined();
    expect(await runner.execute(ask)).toMatchObject({ outcome: 'refused', code: 'CANCELLED' });
    expect(upstream.sent).toEqual([]);
    expect(marks.seen.size).toBe(0);
  });

  test.each([
    [undefined, 'the tool did not answer in time; it was told to stop and did not say whether it did'],
    [{ kind: 'stopped' } as const, 'the tool did not answer in time; it confirmed that it stopped'],
    [ok(), 'the tool did not answer in time; it finished after its deadline, and its answer was dropped'],
  ])('at the deadline is a timeout that says whether the tool confirmed', async (onStop, reason) => {
    const set = fakeRunner();
    set.upstream.answer = undefined;
    set.upstream.onStop = onStop;
    expect(await set.runner.execute(allowed({ call: { deadline: now + 30 } }))).toMatchObject({
      outcome: 'timeout',
      code: 'TIMEOUT',
      reason,
    });
    expect(set.upstream.sent[0]?.stopped).toEqual(['timeout']);
  });

  test('that the server ended at its deadline before the runner did is a timeout', async () => {
    const set = fakeRunner();
    set.upstream.answer = () => ({ kind: 'stopped' });
    expect(await set.runner.execute(allowed({ call: { deadline: now + 50 } }))).toMatchObject({
      outcome: 'timeout',
      reason: 'the tool did not answer in time; it confirmed that it stopped',
    });
    expect(await set.runner.execute(allowed())).toMatchObject({
      outcome: 'aborted',
      code: 'OUTCOME_UNKNOWN',
      reason: 'the tool stopped by itself',
    });
  });

  test('at the stop of the runner waits for what runs, then ends it', async () => {
    const { runner, upstream, answer } = await running({ kind: 'stopped' });
    await runner.drain(30);
    expect(upstream.sent[0]?.stopped).toEqual(['stopping']);
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'RUNNER_UNAVAILABLE' });
  });
});
