import {
  AgentGateError,
  type ApprovalGrant,
  type ApprovalQuestion,
  approvalDomain,
  approvalLines,
  type CatalogTool,
  type DecideAsk,
  decideAnswer,
  type GrantClaims,
  listingDomain,
  type PolicyException,
  type PolicySettings,
  parseConfig,
  permitDomain,
  permitLines,
  type ToolPin,
  type ToolProfile,
} from '@agentgate/contracts';
import { canonical, createKeyRing, generateSigningKey, sealBatch, sha256Hex, verifySeal } from '@agentgate/evidence';
import {
  type Commit,
  compileGrants,
  createFactFinder,
  keyOf,
  noFacts,
  type PolicyData,
  type PolicyInput,
  type Recalled,
  type SeenValue,
  type SessionFacts,
  type SessionOwner,
} from '@agentgate/policy-engine';
import { approvalBinding, approvalInvalid } from '@agentgate/runtime';
import { beforeEach, describe, expect, test } from 'vitest';
import { createPermits } from '../src/adapters/permits.ts';
import type { Approvals, Memory } from '../src/ports.ts';
import { createPolicy, type PolicyOptions } from '../src/service.ts';

const at = 1_700_000_000_000;
const session = 'ses_0000000001';
const gate = parseConfig(
  `v: 1
tenants: {}
servers: { crm: { http: { url: "http://127.0.0.1:1/mcp" }, credential: crm-key, inject: { header: Authorization } } }
credentials: { crm-key: { provider: jwt, audience: crm, scope: read, ttl_s: 30 } }
grants: [{ id: a, to: { agents: [demo] }, tools: ["fs/*", "gone/*"], effect: allow }]
`,
  '/etc/agentgate/agentgate.yaml',
);
const key = generateSigningKey();
const approvalsKey = generateSigningKey();
const revision = { digest: 'a'.repeat(64), revision: '0123456789abcdef' };
const allow = { action: 'allow', code: 'OK', reason: 'allowed by grant a', rule: 'a', obligations: {} };

const ask = (more: Partial<DecideAsk> = {}): DecideAsk => ({
  call: 'call_0000000001',
  tenant: 'default',
  agent: 'demo',
  session,
  tool: 'fs/read',
  arguments: { path: '/srv/a' },
  deadline: at + 30_000,
  ...more,
});
const facts = (more: Partial<SessionFacts> = {}): SessionFacts => ({
  tenant: 'default',
  agent: 'demo',
  openedAt: at - 5_500,
  expiresAt: at + 60_000,
  purpose: 'tidy up',
  user: 'U',
  held: false,
  calls: 3,
  denied: 1,
  taint: { session: [], agent: [] },
  ...more,
});
const tool = (name: string): CatalogTool => ({
  v: 1,
  name,
  description: `about ${name}`,
  input_schema: { type: 'object' },
  annotations: { readOnlyHint: true },
  schema_digest: 'b'.repeat(64),
  seen_at: '2026-01-01T00:00:00Z',
});

const pinOf = ({ v, seen_at, schema_digest, ...definition }: CatalogTool): ToolPin => ({
  v,
  tool: definition.name,
  accepted: { schema_digest, definition, flags: [], at: seen_at, by: 'first use' },
});

/** What the world says and what it was asked. */
interface World {
  results: unknown[];
  sessions: Map<string, SessionFacts>;
  engine: PolicyInput[];
  counted: string[];
  evidence: object[];
  opened: object[];
  held: object[];
  admitted: boolean;
  evidenceFails: boolean;
  redisFails: boolean;
  recalled: Partial<Recalled>;
  committed: Commit[];
  /** What the memory says to each commit. */
  left: boolean;
  limited: { key: string; limit: number }[];
  over: { key: string; retryAfterMs: number } | undefined;
  remembered: { values: readonly SeenValue[] }[];
  taint: string[];
  cleared: object[];
  asked: ApprovalQuestion[];
  redeem: Approvals['redeem'];
  /** Instead of one that trusts the tool as it is. */
  pins: Map<string, ToolPin>;
}
let world: World;
beforeEach(() => {
  world = {
    results: [],
    sessions: new Map([[session, facts()]]),
    engine: [],
    counted: [],
    evidence: [],
    opened: [],
    held: [],
    admitted: true,
    evidenceFails: false,
    redisFails: false,
    recalled: {},
    committed: [],
    left: true,
    limited: [],
    over: undefined,
    remembered: [],
    taint: [],
    cleared: [],
    asked: [],
    pins: new Map(),
    redeem: async () => {
      throw approvalInvalid('it is not known');
    },
  };
});

const memory: Memory = {
  recall: async (asked) =>
    asked.map(() => ({ sources: new Map(), written: new Set<string>(), used: 0, full: false, ...world.recalled })),
  commit: async (calls) => {
    world.committed.push(...calls);
    return calls.map(() => world.left);
  },
  remember: async (seen) => void world.remembered.push(seen),
  taintOf: async () => world.taint,
  clearTaint: async (of, labels) => void world.cleared.push({ ...of, labels }),
};
const noPacks: PolicySettings = { packs: ['baseline'], egress: { deny: [] }, secrets: {}, rate_limits: [] };
const factsWith = (policy: Partial<PolicySettings> = {}, tools: ToolProfile[] = []) =>
  createFactFinder({ tools, policy: { ...noPacks, ...policy }, secrets: [], memory });

const policyWith = (more: Partial<PolicyOptions> = {}) => {
  const tools = new Map(['fs/read', 'fs/write', 'crm/list', 'gone/x'].map((name) => [name, tool(name)]));
  const pins = new Map([...tools.values()].map((each) => [each.name, world.pins.get(each.name) ?? pinOf(each)]));
  let ids = 0;
  const redis = () => {
    if (world.redisFails) throw new AgentGateError('POLICY_UNAVAILABLE', 'policy cannot read its sessions');
  };
  const options: PolicyOptions = {
    engine: {
      decide: async (inputs) => {
        world.engine.push(...inputs);
        return inputs.map((_, i) => ({ result: world.results[i] ?? allow }));
      },
    },
    sessions: {
      look: async (asked: (SessionOwner & { session: string })[]) => {
        redis();
        return asked.map((each) => world.sessions.get(each.session));
      },
      admit: async () => world.admitted,
      open: async (opened) => {
        redis();
        world.opened.push(opened);
      },
      hold: async (hold) => {
        world.held.push(hold);
        return hold.session === session;
      },
      countDenied: async (sessions) => {
        world.counted.push(...sessions);
      },
    },
    agents: {
      get: (tenant, agent) =>
        tenant === 'default' && agent === 'demo' ? { v: 1, tenant, agent, labels: ['dev'], user: 'U' } : undefined,
    },
    catalog: { get: (name) => tools.get(name), all: () => tools.values() },
    pins,
    memory,
    rateLimits: {
      take: async (limits) => {
        world.limited.push(...limits);
        return world.over;
      },
    },
    approvals: {
      request: async (question) => {
        world.asked.push(question);
        return { id: 'apr_0000000001', expires_at: '2026-01-01T00:00:00Z' };
      },
      redeem: async (ask) => world.redeem(ask),
    },
    trust: createKeyRing([{ signer: 'approvals', publicKey: approvalsKey.publicKey }]),
    facts: factsWith(),
    permits: createPermits(key),
    evidence: {
      record: async (draft) => {
        if (world.evidenceFails) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'late');
        world.evidence.push(draft);
        return 'evt_0000000001';
      },
    },
    data: compileGrants(gate).data,
    exceptions: { covering: () => undefined, mayCover: () => false },
    shadow: { isOn: () => false, offer: () => expect.fail('the shadow was told') },
    servers: new Set(['fs', 'crm']),
    revision,
    newId: (prefix) => `${prefix}_000000000${++ids}`,
    now: () => at,
    log: { warn: () => {} },
    ...more,
  };
  return createPolicy({ ...options, under: (work) => work(options) });
};
const decideOne = async (more: Partial<DecideAsk> = {}) => {
  const [answer] = await policyWith().decide([ask(more)]);
  if (!answer || answer instanceof AgentGateError) throw answer ?? new Error('no answer');
  return decideAnswer.parse(answer);
};

describe('denies before the engine is asked', () => {
  test.each<[string, string, Partial<DecideAsk>, Partial<SessionFacts> | undefined]>([
    ['POLICY_DENIED', 'an agent that is not known, in its own session', { agent: 'ghost' }, { agent: 'ghost' }],
    ['UNKNOWN_SESSION', "an agent that is not known, in another's session", { agent: 'ghost' }, {}],
    ['UNKNOWN_SESSION', 'an agent of another tenant', { tenant: 'acme' }, {}],
    ['UNKNOWN_SESSION', 'a session that is not known', {}, undefined],
    ['UNKNOWN_SESSION', 'another agent’s session', {}, { agent: 'other' }],
    ['UNKNOWN_SESSION', 'another tenant’s session', {}, { tenant: 'acme' }],
    ['UNKNOWN_SESSION', 'a session of whoever had the name before', {}, { user: 'U2' }],
    ['UNKNOWN_SESSION', 'a session that names no user', {}, { user: '' }],
    ['SESSION_EXPIRED', 'a session at its expiry', {}, { expiresAt: at }],
    ['POLICY_DENIED', 'a session that is held', {}, { held: true }],
    ['UNKNOWN_TOOL', 'a tool that is not in the catalog', { tool: 'fs/none' }, {}],
    ['UNKNOWN_TOOL', 'a tool of a server that is no longer configured', { tool: 'gone/x' }, {}],
    ['TIMEOUT', 'a call at its deadline', { deadline: at }, {}],
    ['FIELD_INVALID', 'arguments without a canonical form', { arguments: { a: '\uD800' } }, {}],
  ])('%s: %s', async (code, _, more, session_) => {
    world.sessions = new Map(session_ ? [[session, facts(session_)]] : []);
    const answer = await decideOne(more);
    expect(answer.decision).toMatchObject({ action: 'deny', code, obligations: {} });
    expect(answer.permit).toBeUndefined();
    expect(world.engine).toEqual([]);
    expect(world.counted).toEqual([]);
  });
});

test('gives the engine the input that PROTOCOL.md describes, of facts that the gate knows itself', async () => {
  await decideOne();
  const digest = sha256Hex(
    canonical({
      agent: 'demo',
      arguments: { path: '/srv/a' },
      call: 'call_0000000001',
      session,
      tenant: 'default',
      tool: 'fs/read',
    }),
  );
  expect(world.engine).toEqual([
    {
      call: { tool: 'fs/read', server: 'fs', name: 'read', arguments: { path: '/srv/a' }, digest },
      tool: {
        labels: ['read'],
        annotations: { readOnlyHint: true },
        schema_digest: 'b'.repeat(64),
        pinned: true,
        flags: [],
      },
      agent: { name: 'demo', tenant: 'default', labels: ['dev'] },
      session: { id: session, age_s: 5, purpose: 'tidy up', taint: [], calls: 3, denied: 1 },
      provenance: {},
      approval: null,
      now: at,
      facts: { ...noFacts, profile: { taint: [], rate_limits: [] } },
    },
  ]);
  expect(world.committed).toEqual([]);
});

describe('permits', () => {
  const verify = (permit: NonNullable<Awaited<ReturnType<typeof decideOne>>['permit']>) =>
    verifySeal({
      domain: permitDomain,
      lines: permitLines,
      leaf: canonical(permit.claims),
      seal: permit.seal,
      keys: createKeyRing([{ signer: 'policy', publicKey: key.publicKey }]),
    });

  test('an allowed call gets one for exactly that call, five seconds long', async () => {
    const { permit, policy } = await decideOne();
    expect(policy).toEqual(revision);
    expect(permit?.claims).toEqual({
      v: 1,
      id: 'prm_0000000001',
      call: 'call_0000000001',
      tenant: 'default',
      agent: 'demo',
      session,
      tool: 'fs/read',
      call_digest: world.engine[0]?.call.digest,
      policy: revision,
      schema_digest: 'b'.repeat(64),
      issued_at: at,
      expires_at: at + 5_000,
      deadline: at + 30_000,
      obligations: {},
    });
    expect(permit && verify(permit)).toEqual({ ok: true });
    // As it is signed, so that no text has to be put in order.
    expect(JSON.stringify(permit?.claims)).toBe(permit && canonical(permit.claims));
  });
  test('none outlives the call’s deadline', async () => {
    expect((await decideOne({ deadline: at + 700 })).permit?.claims.expires_at).toBe(at + 700);
  });
  test('no permit where the deadline passed while the engine decided', async () => {
    let clock = at;
    const policy = policyWith({
      now: () => clock,
      engine: {
        decide: async () => {
          clock += 40_000;
          return [{ result: allow }];
        },
      },
    });
    expect(await policy.decide([ask()])).toMatchObject([{ decision: { action: 'deny', code: 'TIMEOUT' } }]);
  });
  test('each of a batch verifies alone, and only what is allowed has one', async () => {
    const deny = { action: 'deny', code: 'NO_GRANT', reason: 'no', obligations: {} };
    world.results = [allow, deny, allow];
    const answers = await policyWith().decide(['1', '2', '3'].map((n) => ask({ call: `call_000000000${n}` })));
    const permits = answers.map((answer) => (answer instanceof AgentGateError ? undefined : answer.permit));
    expect(permits.map((permit) => permit?.claims.call)).toEqual(['call_0000000001', undefined, 'call_0000000003']);
    for (const permit of permits) if (permit) expect(verify(permit)).toEqual({ ok: true });
    expect(permits[0]?.seal.sig).toBe(permits[2]?.seal.sig);
    expect(world.counted).toEqual([session]);
  });
  test('a permit with other claims does not verify', async () => {
    const { permit } = await decideOne();
    if (!permit) throw new Error('no permit');
    expect(verify({ ...permit, claims: { ...permit.claims, tool: 'fs/write' } })).toMatchObject({ ok: false });
  });
  test.each([
    ['require_approval', { ...allow, action: 'require_approval', code: 'APPROVAL_REQUIRED' }, 'APPROVAL_REQUIRED'],
    ['an answer of no form', { allow: true }, 'POLICY_INVALID'],
    ['an obligation that does not go with it', { ...allow, obligations: { approvers: { min: 1 } } }, 'POLICY_INVALID'],
    ['no answer', null, 'POLICY_INVALID'],
  ])('none for %s', async (_, result, code) => {
    const [answer] = await policyWith({ engine: { decide: async () => [{ result }] } }).decide([ask()]);
    expect(answer).toMatchObject({ decision: { code } });
    expect(answer).not.toHaveProperty('permit');
  });
  test('an approval that nobody granted does not pass for one', async () => {
    world.results = [{ ...allow, action: 'require_approval', code: 'APPROVAL_REQUIRED' }];
    expect((await decideOne({ approval: 'apr_0000000001' })).decision).toEqual({
      action: 'deny',
      code: 'APPROVAL_INVALID',
      reason: 'approval: it is not known',
      rule: 'a',
      obligations: {},
    });
  });
});

describe('what fails, fails closed', () => {
  test('POLICY_UNAVAILABLE for the calls when Redis does not answer', async () => {
    world.redisFails = true;
    await expect(policyWith().decide([ask()])).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  });
  test('a call that the engine could not decide fails alone', async () => {
    const late = new AgentGateError('POLICY_UNAVAILABLE', 'late');
    const policy = policyWith({ engine: { decide: async () => [{ result: allow }, late] } });
    const [first, second, third] = await policy.decide([ask(), ask(), ask()]);
    expect(first).toMatchObject({ decision: { code: 'OK' } });
    expect(second).toBe(late);
    expect(third).toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  });
});

describe('open session', () => {
  test('is in evidence and in Redis before it is answered', async () => {
    const opened = await policyWith().openSession({ tenant: 'default', agent: 'demo', purpose: 'tidy up' });
    const expires_at = new Date(at + 86_400_000).toISOString();
    expect(opened).toEqual({ session: 'ses_0000000001', expires_at });
    expect(world.evidence).toEqual([
      {
        name: 'session.opened',
        subject: 'ses_0000000001',
        tenant: 'default',
        agent: 'demo',
        session: 'ses_0000000001',
        data: { session: 'ses_0000000001', expires_at, purpose: 'tidy up' },
      },
    ]);
    expect(world.opened).toEqual([
      {
        tenant: 'default',
        agent: 'demo',
        session: 'ses_0000000001',
        openedAt: at,
        expiresAt: at + 86_400_000,
        purpose: 'tidy up',
        user: 'U',
      },
    ]);
  });
  test('opens nothing when evidence is not written', async () => {
    world.evidenceFails = true;
    await expect(policyWith().openSession({ tenant: 'default', agent: 'demo' })).rejects.toMatchObject({
      code: 'EVIDENCE_UNAVAILABLE',
    });
    expect(world.opened).toEqual([]);
  });
  test('opens nothing for an agent that is not known, or that opened too many', async () => {
    await expect(policyWith().openSession({ tenant: 'acme', agent: 'demo' })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    world.admitted = false;
    await expect(policyWith().openSession({ tenant: 'default', agent: 'demo' })).rejects.toMatchObject({
      code: 'RATE_LIMITED',
    });
    expect([world.evidence, world.opened]).toEqual([[], []]);
  });
});

describe('visible', () => {
  const who = { tenant: 'default', agent: 'demo' };
  test('names the tools that some grant may allow, of servers that are configured', async () => {
    const tools = await policyWith().visible({ ...who, session });
    expect(tools).toEqual([
      {
        name: 'fs/read',
        description: 'about fs/read',
        input_schema: { type: 'object' },
        annotations: { readOnlyHint: true },
      },
      {
        name: 'fs/write',
        description: 'about fs/write',
        input_schema: { type: 'object' },
        annotations: { readOnlyHint: true },
      },
    ]);
  });
  test('refuses an unknown agent and a session that is not its own', async () => {
    await expect(policyWith().visible({ tenant: 'acme', agent: 'demo' })).rejects.toMatchObject({
      code: 'POLICY_DENIED',
    });
    await expect(policyWith().visible({ ...who, session: 'ses_none' })).rejects.toMatchObject({
      code: 'UNKNOWN_SESSION',
    });
  });
});

test('hold is for the session’s own agent', async () => {
  const hold = { tenant: 'default', agent: 'demo', session, call: 'call_0000000001', held: true };
  await policyWith().hold(hold);
  expect(world.held).toEqual([hold]);
  await expect(policyWith().hold({ ...hold, session: 'ses_other' })).rejects.toMatchObject({ code: 'UNKNOWN_SESSION' });
});

describe('what policy carries out itself', () => {
  const limit = { key: 'agent default/demo fs/read', limit: 2, window_s: 60 };
  const allowWith = (obligations: object) => ({ ...allow, obligations });

  test('counts an allowed call against its limits, and refuses with how long to wait when one is over', async () => {
    world.results = [allowWith({ rate_limits: [limit] })];
    expect((await decideOne()).decision.code).toBe('OK');
    expect(world.limited).toEqual([limit]);
    world.over = { key: limit.key, retryAfterMs: 1_200.5 };
    const answer = await decideOne();
    expect(answer).toMatchObject({
      decision: { action: 'deny', code: 'RATE_LIMITED', reason: 'more than 2 calls in 60 s' },
      retry_after_ms: 1_201,
    });
    expect(answer.permit).toBeUndefined();
  });
  test('a call that is not allowed counts against no limit and leaves nothing', async () => {
    world.results = [{ action: 'deny', code: 'NO_GRANT', reason: 'no', obligations: {} }];
    await decideOne();
    expect([world.limited, world.committed]).toEqual([[], []]);
  });
  test('POLICY_UNAVAILABLE for that call alone when limits cannot be counted', async () => {
    world.results = [allowWith({ rate_limits: [limit] }), allow];
    const down = new AgentGateError('POLICY_UNAVAILABLE', 'down');
    const policy = policyWith({ rateLimits: { take: () => Promise.reject(down) } });
    const [first, second] = await policy.decide([ask(), ask()]);
    expect(first).toBe(down);
    expect(second).toMatchObject({ decision: { code: 'OK' } });
  });
  test('writes taint before it answers, and not again what stands on session and agent', async () => {
    world.results = [allowWith({ taint: ['untrusted-read'] })];
    await decideOne();
    expect(world.committed).toMatchObject([{ session, agent: 'demo', taint: ['untrusted-read'] }]);
    world.sessions.set(session, facts({ taint: { session: ['untrusted-read'], agent: ['untrusted-read'] } }));
    await decideOne();
    expect(world.committed).toHaveLength(1);
    world.sessions.set(session, facts({ taint: { session: ['untrusted-read'], agent: [] } }));
    await decideOne();
    expect(world.committed).toHaveLength(2);
    expect(world.engine.at(-1)?.session.taint).toEqual(['untrusted-read']);
  });
  test('needs approval when another call used up the budget meanwhile', async () => {
    const policy = policyWith({ facts: factsWith({ packs: ['baseline', 'provenance'] }) });
    world.sessions.set(session, facts({ purpose: 'Write the file a.txt' }));
    world.left = false;
    const [answer] = await policy.decide([ask({ tool: 'fs/write' })]);
    expect(world.committed).toMatchObject([{ charge: { counter: 'requests 0', budget: 1 } }]);
    expect(answer).toMatchObject({ decision: { action: 'require_approval', rule: 'provenance/budget' } });
    expect(answer).not.toHaveProperty('permit');
  });
  test('a refusal keeps out of evidence what the configuration wants kept out, whoever refused', async () => {
    const kept = { redact: { arguments: ['/path'] }, evidence: 'redacted' as const };
    const policy = policyWith({ facts: factsWith({}, [{ tools: ['fs/*'], ...kept }]) });
    const [expired, invalid] = await Promise.all([
      policy.decide([ask({ session: 'ses_none000000' })]),
      policyWith({
        facts: factsWith({}, [{ tools: ['fs/*'], ...kept }]),
        engine: { decide: async () => [{ result: null }] },
      }).decide([ask()]),
    ]);
    expect(expired).toMatchObject([{ decision: { code: 'UNKNOWN_SESSION', obligations: kept } }]);
    expect(invalid).toMatchObject([{ decision: { code: 'POLICY_INVALID', obligations: kept } }]);
  });
});

describe('provenance', () => {
  const on = () => policyWith({ facts: factsWith({ packs: ['baseline', 'provenance'] }) });
  const key = keyOf('email', 'bob@example.com');
  const mail = ask({ tool: 'fs/write', arguments: { to: 'bob@example.com', body: 'hi' } });

  test.each([
    ['text', { sources: new Map([[key, [{ from: 'text' as const, tool: 'fs/read', private: false }]]]) }],
    ['structured', { sources: new Map([[key, [{ from: 'structured' as const, tool: 'fs/read', private: true }]]]) }],
    ['agent', {}],
  ])('a value that was seen as %s is told as that', async (origin, recalled) => {
    world.recalled = recalled;
    const [answer] = await on().decide([mail]);
    expect(world.engine[0]?.facts.values.find(({ kind }) => kind === 'email')).toMatchObject({
      pointer: '/to',
      origin,
    });
    const told = origin === 'agent' ? 'agent' : `result:fs/read#${origin}`;
    expect(world.engine[0]?.provenance['/to']).toContain(told);
    expect(answer).toMatchObject({ observe: true });
    // What comes from nowhere or from text is remembered as the agent's own words.
    expect(world.committed.some(({ written }) => written.includes(key))).toBe(origin !== 'structured');
  });
  test('a value that the purpose names is the purpose’s', async () => {
    world.sessions.set(session, facts({ purpose: 'Write to Bob@Example.com' }));
    await on().decide([mail]);
    expect(world.engine[0]?.facts.values.find(({ kind }) => kind === 'email')?.origin).toBe('purpose');
    expect(world.engine[0]?.provenance['/to']).toContain('purpose');
  });
  test('what the agent wrote itself and reads back from a field is text', async () => {
    world.recalled = {
      sources: new Map([[key, [{ from: 'structured', tool: 'fs/read', private: false }]]]),
      written: new Set([key]),
    };
    await on().decide([mail]);
    expect(world.engine[0]?.facts.values.find(({ kind }) => kind === 'email')?.origin).toBe('text');
  });
  test('a result is remembered with where its values stood', async () => {
    const result = { content: [], structuredContent: { from: 'ann@example.com', body: 'write to eve@example.net' } };
    await on().observe({ tenant: 'default', agent: 'demo', session, tool: 'fs/read', result });
    const seen = world.remembered[0]?.values;
    expect(seen).toContainEqual({ key: keyOf('email', 'ann@example.com'), kind: 'email', from: 'structured' });
    expect(seen).toContainEqual({ key: keyOf('email', 'eve@example.net'), kind: 'email', from: 'text' });
  });
});

describe('clear-taint', () => {
  const reason = 'checked by hand';
  test('is in evidence before labels are taken off the session and its agent', async () => {
    world.taint = ['private-read', 'untrusted-read'];
    const answer = await policyWith().clearTaint('olga', { v: 1, session, reason });
    expect(answer).toEqual({ v: 1, status: 'cleared', cleared: world.taint });
    const on = { agent: 'demo', session };
    expect(world.evidence).toMatchObject([
      { name: 'session.cleared', tenant: 'default', ...on, data: { on, labels: world.taint, by: 'olga', reason } },
    ]);
    expect(world.cleared).toEqual([{ tenant: 'default', ...on, labels: world.taint }]);
  });
  test('takes off the labels that it names', async () => {
    world.taint = ['private-read', 'untrusted-read'];
    const ask = { v: 1 as const, agent: 'demo', labels: ['private-read', 'none'], reason };
    expect(await policyWith().clearTaint('olga', ask)).toMatchObject({ cleared: ['private-read'] });
    expect(world.cleared).toEqual([{ tenant: 'default', agent: 'demo', labels: ['private-read'] }]);
  });
  test('clears nothing that is not in evidence', async () => {
    world.taint = ['untrusted-read'];
    world.evidenceFails = true;
    await expect(policyWith().clearTaint('olga', { v: 1, session, reason })).rejects.toMatchObject({
      code: 'EVIDENCE_UNAVAILABLE',
    });
    expect(world.cleared).toEqual([]);
  });
  test.each([
    ['not_tainted', { session }],
    ['not_found', { session: 'ses_none000000' }],
    ['not_found', { session, tenant: 'acme' }],
    ['not_found', { session, agent: 'other' }],
    ['not_found', { agent: 'ghost' }],
  ])('%s for %o', async (status, which) => {
    expect(await policyWith().clearTaint('olga', { v: 1, ...which, reason })).toMatchObject({ status });
    expect([world.evidence, world.cleared]).toEqual([[], []]);
  });
});

describe('whose a session is', () => {
  test('tells the tenant and the agent that it was opened for', async () => {
    expect(await policyWith().whoseSession(session)).toMatchObject({ v: 1, session, tenant: 'default', agent: 'demo' });
  });
  test('is refused with UNKNOWN_SESSION where nobody knows it', async () => {
    await expect(policyWith().whoseSession('ses_none000000')).rejects.toMatchObject({
      code: 'UNKNOWN_SESSION',
      message: 'session ses_none000000 is not known; it may have expired',
    });
  });
});

describe('approvals', () => {
  const held = {
    action: 'require_approval',
    code: 'APPROVAL_REQUIRED',
    reason: 'a person has to see it',
    rule: 'a',
    obligations: { approvers: { min: 2, roles: ['finance'] } },
  };
  const approval = 'apr_0000000009';
  const grantFor = (claims: Partial<GrantClaims> = {}, by = approvalsKey): ApprovalGrant => {
    const { call, tenant, agent, session: at_, tool: name, arguments: args } = ask();
    const bound = {
      tenant,
      agent,
      session: at_,
      tool: name,
      arguments: args,
      schema_digest: 'b'.repeat(64),
      policy: revision,
    };
    const whole: GrantClaims = {
      approval,
      binding: approvalBinding(bound),
      by: ['ann', 'ben'],
      call,
      expires_at: at + 60_000,
      granted_at: at - 1,
      v: 1,
      ...claims,
    };
    const [seal] = sealBatch({ domain: approvalDomain, lines: approvalLines, leaves: [canonical(whole)], key: by });
    if (!seal) throw new Error('no seal');
    return { claims: whole, seal };
  };

  test('a person is asked with all that the question needs, and the agent is told what to ask again with', async () => {
    world.results = [held];
    const answer = await decideOne();
    expect(answer).toMatchObject({
      decision: { action: 'require_approval', rule: 'a' },
      approval: { id: 'apr_0000000001', expires_at: '2026-01-01T00:00:00Z' },
    });
    expect(world.asked).toEqual([
      {
        tenant: 'default',
        agent: 'demo',
        session,
        call: 'call_0000000001',
        tool: 'fs/read',
        arguments: { path: '/srv/a' },
        schema_digest: 'b'.repeat(64),
        policy: revision,
        rule: 'a',
        reason: 'a person has to see it',
        purpose: 'tidy up',
        provenance: {},
        labels: ['read'],
        hosts: [],
        approvers: { min: 2, roles: ['finance'] },
      },
    ]);
  });
  test('a granted one is judged again with who granted it, and goes with the permit', async () => {
    const grant = grantFor();
    world.redeem = async () => ({ grant });
    let asked = 0;
    const engine = {
      decide: async (inputs: PolicyInput[]) => {
        world.engine.push(...inputs);
        return inputs.map(() => ({ result: asked++ === 0 ? held : allow }));
      },
    };
    const [answer] = await policyWith({ engine }).decide([ask({ approval })]);
    expect(world.engine.map((input) => input.approval)).toEqual([null, { granted: true, by: 'ann, ben', at: at - 1 }]);
    expect(answer).toMatchObject({ decision: { action: 'allow' }, permit: { claims: { approval: grant } } });
  });
  test.each<[string, ApprovalGrant]>([
    ['the approvals service did not sign it', grantFor({}, generateSigningKey())],
    ['it was taken for another call', grantFor({ call: 'call_0000000077' })],
    ['it is for another call', grantFor({ binding: 'c'.repeat(64) })],
    ['it has expired', grantFor({ expires_at: at })],
  ])('APPROVAL_INVALID: %s', async (why, grant) => {
    world.results = [held, allow];
    world.redeem = async () => ({ grant });
    const answer = await decideOne({ approval });
    expect(answer.decision).toMatchObject({
      action: 'deny',
      code: 'APPROVAL_INVALID',
      reason: `approval: ${why}`,
      rule: 'a',
    });
    expect(answer.permit).toBeUndefined();
  });
  test('one that waits is told as waiting, and nobody is asked anew', async () => {
    world.results = [held];
    const waiting = { id: approval, expires_at: '2026-01-01T00:00:00Z' };
    world.redeem = async () => ({ pending: waiting });
    expect(await decideOne({ approval })).toMatchObject({
      decision: { action: 'require_approval' },
      approval: waiting,
    });
    expect(world.asked).toEqual([]);
  });
  test('none is taken for a call that is allowed, or denied, without', async () => {
    world.redeem = () => Promise.reject(new Error('it was asked for'));
    expect((await decideOne({ approval })).decision.code).toBe('OK');
    world.results = [{ action: 'deny', code: 'NO_GRANT', reason: 'no', obligations: {} }];
    expect((await decideOne({ approval })).decision.code).toBe('NO_GRANT');
  });
  test('what denies, denies also what a person granted', async () => {
    world.redeem = async () => ({ grant: grantFor() });
    let asked = 0;
    const deny = { action: 'deny', code: 'POLICY_DENIED', reason: 'a secret', rule: 'dlp/secret', obligations: {} };
    const engine = { decide: async () => [{ result: asked++ === 0 ? held : deny }] };
    const [answer] = await policyWith({ engine }).decide([ask({ approval })]);
    expect(answer).toMatchObject({ decision: { rule: 'dlp/secret' } });
    expect(answer).not.toHaveProperty('permit');
  });
  test('POLICY_UNAVAILABLE for that call alone when nobody can be asked', async () => {
    const down = new AgentGateError('POLICY_UNAVAILABLE', 'approvals is not running');
    const approvals = { request: () => Promise.reject(down), redeem: () => Promise.reject(down) };
    let asked = 0;
    const engine = {
      decide: async (inputs: PolicyInput[]) => inputs.map(() => ({ result: asked++ === 0 ? held : allow })),
    };
    const [first, second] = await policyWith({ engine, approvals }).decide([ask(), ask()]);
    expect(first).toBe(down);
    expect(second).toMatchObject({ decision: { code: 'OK' } });
  });
});

describe('what is leased', () => {
  const ttlOf = async (left: number) => {
    world.sessions.set(session, facts({ expiresAt: at + left }));
    const credential = { name: 'crm-key', scope: 'read', ttl_s: 30 };
    world.results = [{ ...allow, obligations: { credential } }];
    const [answer] = await policyWith().decide([ask({ tool: 'crm/list' })]);
    if (!answer || answer instanceof AgentGateError) throw new Error(String(answer));
    return answer.permit?.claims.obligations.credential?.ttl_s;
  };

  test('lasts as policy says, and ends with its session at the latest', async () => {
    expect([await ttlOf(60_000), await ttlOf(30_000), await ttlOf(12_900), await ttlOf(400)]).toEqual([30, 30, 12, 1]);
  });
});

describe('permitListing', () => {
  const listed = (listings: PolicyData['listings']) =>
    policyWith({ data: { ...compileGrants({ ...gate, grants: [] }).data, listings } });

  test('permits to read one server’s list for five seconds, with the credential that the configuration names', async () => {
    const permit = await listed({ crm: { name: 'crm-list', scope: 'tools', ttl_s: 20 } }).permitListing('crm');
    expect(permit.claims).toMatchObject({
      server: 'crm',
      credential: { name: 'crm-list', scope: 'tools', ttl_s: 20 },
      issued_at: at,
      expires_at: at + 5_000,
      deadline: at + 45_000,
      policy: revision,
    });
    const keys = createKeyRing([{ signer: 'policy', publicKey: key.publicKey }]);
    const { claims, seal } = permit;
    const verify = (domain: string) =>
      verifySeal({ domain, lines: permitLines, leaf: canonical(claims), seal, keys }).ok;
    expect([verify(listingDomain), verify(permitDomain)]).toEqual([true, false]);
  });

  test.each(['fs', 'absent', 'constructor', '__proto__'])(
    'refuses with POLICY_DENIED for %s, which it does not name',
    async (server) => {
      await expect(listed({ crm: { name: 'crm-list' } }).permitListing(server)).rejects.toThrow(
        `server ${server} is not configured to be listed with a credential`,
      );
    },
  );
});

describe('behind an engine that allows everything', () => {
  const waiting = (name: string): ToolPin => {
    const pin = pinOf(tool(name));
    if (!pin.accepted) throw new Error('nothing is accepted');
    const { by: _, ...seen } = pin.accepted;
    return { ...pin, offered: { ...seen, schema_digest: 'c'.repeat(64), why: 'changed', state: 'waiting' } };
  };
  test('a quarantined tool is denied before the engine is asked, and nobody is shown it', async () => {
    world.pins.set('fs/read', waiting('fs/read'));
    const answer = await decideOne();
    expect(answer.decision).toMatchObject({
      action: 'deny',
      code: 'TOOL_QUARANTINED',
      reason: 'tool fs/read is quarantined until an operator has looked at it: its definition has changed',
    });
    expect(answer.permit).toBeUndefined();
    expect(world.engine).toEqual([]);
    const visible = await policyWith().visible({ tenant: 'default', agent: 'demo' });
    expect(visible.map(({ name }) => name)).toEqual(['fs/write']);
  });
  test.each([
    ['is quarantined', 'TOOL_QUARANTINED', { pin: waiting('fs/read') }],
    ['is gone', 'UNKNOWN_TOOL', { tool: undefined }],
    ['is another one', 'TOOL_QUARANTINED', { tool: { ...tool('fs/read'), schema_digest: 'd'.repeat(64) } }],
  ])('a tool that %s while the engine decides gets no permit', async (_, code, change) => {
    let now: { pin: ToolPin | undefined; tool: CatalogTool | undefined } = {
      pin: pinOf(tool('fs/read')),
      tool: tool('fs/read'),
    };
    const policy = policyWith({
      pins: { get: () => now.pin },
      catalog: { get: () => now.tool, all: () => [] },
      engine: {
        decide: async () => {
          now = { ...now, ...change };
          return [{ result: allow }];
        },
      },
    });
    const [answer] = await policy.decide([ask()]);
    expect(answer).toMatchObject({ decision: { action: 'deny', code } });
    expect(answer).not.toHaveProperty('permit');
  });
  test('no obligation makes a permit longer than five seconds', async () => {
    const obligations = { credential: { name: 'k', ttl_s: 3_600 }, evidence: 'digest', taint: ['a'] };
    world.results = [{ ...allow, obligations }];
    const data = {
      ...compileGrants({ ...gate, grants: gate.grants.map((grant) => ({ ...grant, tools: ['fs/*'] })) }).data,
      credentials: { fs: { name: 'k' } },
    };
    const [answer] = await policyWith({ data: data as never }).decide([ask()]);
    if (!answer || answer instanceof AgentGateError) throw new Error('no answer');
    expect(answer.permit?.claims.expires_at).toBe(at + 5_000);
  });
});

describe('with an exception', () => {
  const until = new Date(at + 60_000).toISOString();
  const exception: PolicyException = {
    id: 'exc_0000000001',
    tenant: 'default',
    agent: 'demo',
    tools: ['fs/read'],
    owner: 'ann',
    reason: 'because',
    by: 'ann',
    at: new Date(at).toISOString(),
    until,
  };
  const byException = { ...allow, rule: 'exception/exc_0000000001' };
  const covering = (one: PolicyException | undefined): PolicyOptions['exceptions'] => ({
    covering: () => one,
    mayCover: ({ tool }) => one?.tools.includes(tool) ?? false,
  });
  const decideWith = async (one: PolicyException | undefined, more: Partial<PolicyOptions> = {}) => {
    const [answer] = await policyWith({ exceptions: covering(one), ...more }).decide([ask()]);
    if (!answer || answer instanceof AgentGateError) throw new Error('no answer');
    return answer;
  };

  test('the engine is shown it, and the call passes by its rule', async () => {
    world.results = [byException];
    const { decision, permit } = await decideWith(exception);
    expect(world.engine[0]?.facts.exception).toEqual({ id: 'exc_0000000001', owner: 'ann', until });
    expect(decision).toMatchObject({ action: 'allow', rule: 'exception/exc_0000000001' });
    expect(permit?.claims.expires_at).toBe(at + 5_000);
  });

  test('neither the permit nor what is leased for it outlives it', async () => {
    const ends = { ...exception, until: new Date(at + 2_500).toISOString() };
    world.results = [{ ...byException, obligations: { credential: { name: 'k', ttl_s: 3_600 } } }];
    const data = { ...compileGrants(gate).data, credentials: { fs: { name: 'k' } } };
    const { permit } = await decideWith(ends, { data: data as never });
    expect(permit?.claims.expires_at).toBe(at + 2_500);
    expect(permit?.claims.obligations.credential?.ttl_s).toBe(2);
  });

  test('that ends while the engine decides gives no permit', async () => {
    let now = at;
    const engine = {
      decide: async () => {
        now = at + 1_000;
        return [{ result: byException }];
      },
    };
    const ends = { ...exception, until: new Date(at + 1_000).toISOString() };
    const { decision, permit } = await decideWith(ends, { engine, now: () => now });
    expect(decision).toMatchObject({
      action: 'deny',
      code: 'NO_GRANT',
      reason: 'exception/exc_0000000001 ended before the permit was signed',
    });
    expect(permit).toBeUndefined();
  });

  test.each([
    ['there is none', undefined],
    ['there is another', { ...exception, id: 'exc_0000000002' }],
  ])('a policy that names one is denied with POLICY_INVALID where %s', async (_, one) => {
    world.results = [byException];
    const { decision, permit } = await decideWith(one);
    expect(decision).toMatchObject({
      action: 'deny',
      code: 'POLICY_INVALID',
      reason: "the policy's answer cannot be used: there is no exception/exc_0000000001",
    });
    expect(permit).toBeUndefined();
  });

  test('a policy cannot make one up where none was shown', async () => {
    world.results = [{ ...byException, rule: 'exception/undefined' }];
    expect((await decideWith(undefined)).decision.code).toBe('POLICY_INVALID');
  });

  test('a quarantined tool and an unknown one stay what they are', async () => {
    world.results = [byException];
    const pins = { get: () => undefined };
    expect((await decideWith(exception, { pins })).decision.code).toBe('TOOL_QUARANTINED');
    expect((await decideWith(exception, { servers: new Set() })).decision.code).toBe('UNKNOWN_TOOL');
    expect(world.engine).toEqual([]);
  });

  test('a part that is silent denies the call all the same', async () => {
    const engine = { decide: async () => [new AgentGateError('POLICY_UNAVAILABLE', 'it hangs')] };
    const [answer] = await policyWith({ exceptions: covering(exception), engine }).decide([ask()]);
    expect(answer).toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  });

  test('its tool is shown to the agent, and one that a grant denies is not', async () => {
    const names = async (grants: string) => {
      const config = parseConfig(
        `v: 1\ntenants: {}\nservers: { fs: { stdio: { command: ./fs } } }\ngrants: ${grants}\n`,
        '/etc/agentgate/agentgate.yaml',
      );
      const policy = policyWith({ exceptions: covering(exception), data: compileGrants(config).data });
      return (await policy.visible({ tenant: 'default', agent: 'demo' })).map(({ name }) => name);
    };
    expect(await names('[]')).toEqual(['fs/read']);
    expect(await names('[{ id: d, to: { agents: [demo] }, tools: ["fs/*"], effect: deny }]')).toEqual([]);
  });
});

describe('with a revision in the shadow', () => {
  test('it is told what the engine was asked and said at first, and nothing of what was settled without it', async () => {
    const offered: unknown[] = [];
    const shadow = {
      isOn: () => true,
      offer: (watched: readonly { asked: { ask: DecideAsk }; decision: object }[], facts: string | undefined) =>
        void offered.push(...watched.map(({ asked, decision }) => [asked.ask.tool, decision, facts])),
    };
    world.results = [{ ...allow, obligations: { rate_limits: [{ key: 'k', limit: 1, window_s: 60 }] } }];
    const rateLimits = { take: async () => ({ key: 'k', retryAfterMs: 9 }) };
    const policy = policyWith({ shadow, rateLimits, factsDigest: 'facts' });
    const [limited, unknown] = await policy.decide([ask(), ask({ tool: 'fs/gone' })]);
    expect(limited).toMatchObject({ decision: { code: 'RATE_LIMITED' } });
    expect(unknown).toMatchObject({ decision: { code: 'UNKNOWN_TOOL' } });
    expect(offered).toEqual([['fs/read', expect.objectContaining({ action: 'allow', rule: 'a' }), 'facts']]);
  });
});
