import {
  AgentGateError,
  type AgentRecord,
  type ApprovalGrant,
  type DecideAnswer,
  type DecideAsk,
  type Decision,
  limits,
  type Obligations,
  type Permit,
  type PermitClaims,
  type PolicyException,
  type ToolFlag,
} from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import {
  type Asked,
  type Commit,
  deny,
  type Found,
  inputOf,
  outcomeOf,
  type PolicyInput,
  type SessionFacts,
  type SessionOwner,
  splitTool,
} from '@agentgate/policy-engine';
import { approvalBinding, checkGrant, quarantineOf } from '@agentgate/runtime';
import { exceptionEnds, shownOf, withinException } from './by-exception.ts';
import { heldByInvariant } from './invariants.ts';
import type { Waiting } from './ports.ts';
import type { PolicyOptions } from './service.ts';

// One batch of calls: what settles them before the engine, what the packs ask about them, the engine, what policy carries out
// itself, permits.

/** A call on its way: it has its decision as soon as something settled it. */
interface Case {
  ask: DecideAsk;
  digest: string;
  /** Characters of it. */
  size?: number;
  /** Absent where the call was settled before the engine. */
  asked?: Asked & { labels: string[] };
  found?: Found;
  retryAfterMs?: number;
  /** What a person said, and what is asked again with. */
  grant?: ApprovalGrant;
  waiting?: Waiting;
  /** The operator's exception that was shown to the engine. */
  exception?: PolicyException | undefined;
  /** What the engine was asked at first, where a shadow is asked the same: all others let go of it once it is asked. */
  input?: PolicyInput;
  /** What it said to that. */
  judged?: Decision;
  decision?: Decision | AgentGateError;
  permit?: Permit;
}

export const decideAll = async (opts: PolicyOptions, asks: DecideAsk[]): Promise<(DecideAnswer | AgentGateError)[]> => {
  const looking = opts.sessions.look(asks, { count: true });
  // While Redis is on its way.
  const digested = asks.map(digestOf);
  const facts = await looking;
  const cases = asks.map((ask, i) => prepare(opts, { ask, digested: digested[i], facts: facts[i] }));
  await findFacts(opts, cases);
  await askEngine(opts, openCases(cases));
  await askPeople(opts, cases);
  await carryOut(opts, cases);
  countDenied(opts, cases);
  const answers = answer(opts, cases);
  watchBy(opts, cases);
  return answers;
};

export const isServed = (opts: Pick<PolicyOptions, 'servers'>, tool: string) =>
  opts.servers.has(splitTool(tool).server);

export const sessionRefusal = (
  owner: SessionOwner,
  facts: SessionFacts | undefined,
  { record, now }: { record: AgentRecord | undefined; now: number },
): Decision | undefined => {
  // Somebody else's session is answered as one that does not exist: also that of an agent who had the name before and was removed.
  const isOwn =
    facts?.tenant === owner.tenant && facts.agent === owner.agent && (!record || facts.user === record.user);
  if (!isOwn) return deny('UNKNOWN_SESSION', 'the session is not known');
  if (facts.expiresAt <= now) return deny('SESSION_EXPIRED', 'the session has expired');
  if (facts.held)
    return deny('POLICY_DENIED', 'the session is held: the outcome of an earlier call is not in evidence');
  return undefined;
};

/** Undefined for a call that has no canonical form. Never throws: others are being waited for meanwhile. */
const digestOf = ({ agent, arguments: args, call, session, tenant, tool }: DecideAsk) => {
  try {
    const text = canonical({ agent, arguments: args, call, session, tenant, tool });
    return { digest: sha256Hex(text), size: text.length };
  } catch {
    return undefined;
  }
};

/** What settles a call before the engine, or the engine's input. */
const prepare = (
  opts: PolicyOptions,
  { ask, digested, facts }: { ask: DecideAsk; digested: ReturnType<typeof digestOf>; facts: SessionFacts | undefined },
): Case => {
  const now = opts.now();
  const { tenant, agent, tool } = ask;
  const settled = (decision: Decision): Case => ({ ask, digest: '', decision });
  // Whose session it is comes first: any other answer says that it is the agent's own, and the sentinel counts on that.
  const record = opts.agents.get(tenant, agent);
  const refused = sessionRefusal(ask, facts, { record, now });
  if (refused || !facts) return settled(refused ?? deny('UNKNOWN_SESSION', 'the session is not known'));
  if (!record) return settled(deny('POLICY_DENIED', `agent ${agent} is not known`));
  const known = isServed(opts, tool) ? opts.catalog.get(tool) : undefined;
  if (!known) return settled(deny('UNKNOWN_TOOL', `tool ${tool} is not known`));
  const quarantined = quarantineOf(tool, opts.pins.get(tool), known.schema_digest);
  if (quarantined !== undefined) return settled(deny('TOOL_QUARANTINED', quarantined));
  if (ask.deadline <= now) return settled(deny('TIMEOUT', 'the deadline passed before the decision'));
  if (!digested) return settled(deny('FIELD_INVALID', '/arguments: has no canonical form'));
  return { ask, ...digested, asked: { ask, session: facts, tool: known, labels: record.labels } };
};

const openCases = (cases: Case[]): OpenCase[] => cases.filter((each): each is OpenCase => !!each.asked);

const findFacts = async (opts: PolicyOptions, cases: Case[]): Promise<void> => {
  const open = openCases(cases);
  const found = await opts.facts.find(open.map(({ asked }) => asked));
  for (const [i, each] of open.entries()) {
    const facts = found[i];
    if (facts) each.found = facts;
  }
};

const inputFor = (
  { digest, asked, grant, exception }: OpenCase,
  { found, now, flags }: { found: Found; now: number; flags: readonly ToolFlag[] },
): PolicyInput =>
  inputOf({
    asked,
    found,
    digest,
    flags: flags.map(({ kind }) => kind),
    approval: grant ? { granted: true, by: grant.claims.by.join(', '), at: grant.claims.granted_at } : null,
    exception: exception && shownOf(exception),
    now,
  });

type OpenCase = Case & Required<Pick<Case, 'asked'>>;

const askEngine = async (opts: PolicyOptions, cases: OpenCase[]): Promise<void> => {
  const now = opts.now();
  const open: OpenCase[] = [];
  const inputs: PolicyInput[] = [];
  for (const each of cases) {
    const flags = opts.pins.get(each.ask.tool)?.accepted?.flags ?? [];
    each.exception = opts.exceptions.covering(each.ask);
    if (!each.found) {
      each.decision = new AgentGateError('POLICY_UNAVAILABLE', 'nothing could be found out about the call');
      continue;
    }
    const input = inputFor(each, { found: each.found, now, flags });
    if (opts.shadow.isOn() && !each.grant) each.input ??= input;
    open.push(each);
    inputs.push(input);
  }
  if (open.length === 0) return;
  const evaluations = await opts.engine.decide(inputs);
  for (const [i, each] of open.entries()) {
    const { server } = splitTool(each.ask.tool);
    const evaluation = evaluations[i] ?? new AgentGateError('POLICY_UNAVAILABLE', 'the policy engine gave no answer');
    try {
      const decision = outcomeOf(evaluation, { server, credentials: opts.data.credentials });
      if (!each.grant) each.judged ??= decision;
      each.decision = withinException(each.exception, decision);
    } catch (error) {
      each.decision = toFailure(error);
    }
  }
};

/** Hands what the engine was asked to the revision in the shadow, which begins when the answers have left. */
const watchBy = ({ shadow, factsDigest }: PolicyOptions, cases: Case[]): void => {
  if (!shadow.isOn()) return;
  shadow.offer(
    cases.flatMap(({ asked, input, judged, size = 0 }) =>
      asked && input && judged ? [{ asked, size, input, decision: judged }] : [],
    ),
    factsDigest,
  );
};

const toFailure = (error: unknown): AgentGateError =>
  error instanceof AgentGateError ? error : new AgentGateError('INTERNAL', 'internal error', { cause: error });

/** The obligations that are policy's own: limits are counted, and what the call leaves behind is written before anybody hears that it may run. */
const carryOut = async (opts: PolicyOptions, cases: Case[]): Promise<void> => {
  const limited = cases.flatMap((each) => {
    const limits = obligationsOf(each).rate_limits ?? [];
    return isAllowed(each) && limits.length > 0 ? [{ each, limits }] : [];
  });
  if (limited.length > 0) await Promise.all(limited.map((each) => countAgainstLimits(opts, each)));
  const leaving = cases.flatMap((each) => {
    const commit = commitOf(each);
    return commit ? [{ each, commit }] : [];
  });
  if (leaving.length === 0) return;
  const left = await opts.memory.commit(leaving.map(({ commit }) => commit));
  const lost = leaving.flatMap(({ each }, i) => (left[i] !== true && isAllowed(each) ? [each] : []));
  for (const each of lost)
    each.decision = {
      action: 'require_approval',
      code: 'APPROVAL_REQUIRED',
      reason: 'the purpose asks for fewer such calls than were asked for already',
      rule: 'provenance/budget',
      obligations: {},
    };
  if (lost.length > 0) await askPeople(opts, lost);
};

const isAllowed = ({ decision }: Case): boolean =>
  !!decision && !(decision instanceof AgentGateError) && decision.action === 'allow';
/** A pack holds it. What was asked for counts, so that what a text wants cannot take the place of what the user wants. */
const isHeld = ({ decision, ask }: Case): boolean =>
  !!decision &&
  !(decision instanceof AgentGateError) &&
  decision.action === 'require_approval' &&
  ask.approval === undefined;

const countAgainstLimits = async (
  { rateLimits }: PolicyOptions,
  { each, limits }: { each: Case; limits: NonNullable<Obligations['rate_limits']> },
): Promise<void> => {
  try {
    const over = await rateLimits.take(limits);
    if (!over) return;
    const { limit, window_s } = limits.find(({ key }) => key === over.key) ?? {};
    each.retryAfterMs = over.retryAfterMs;
    each.decision = deny('RATE_LIMITED', `more than ${limit} calls in ${window_s} s`);
  } catch (error) {
    each.decision = toFailure(error);
  }
};

const obligationsOf = ({ decision }: Case): Obligations =>
  !decision || decision instanceof AgentGateError ? {} : decision.obligations;

/** Undefined where nothing is new. */
const commitOf = (each: Case): Commit | undefined => {
  const { ask, asked, found } = each;
  if (!asked || !found) return undefined;
  const { tenant, agent, session } = ask;
  const { taint, expiresAt } = asked.session;
  // What a person allowed is charged to nobody's request.
  const to = { tenant, agent, session, expiresAt, charge: each.grant ? undefined : found.charge };
  if (isHeld(each)) return found.charge ? { ...to, taint: [], written: [] } : undefined;
  if (!isAllowed(each)) return undefined;
  const labels = obligationsOf(each).taint ?? [];
  const isNew = labels.some((label) => !taint.session.includes(label) || !taint.agent.includes(label));
  if (!isNew && !to.charge && found.written.length === 0) return undefined;
  return { ...to, taint: isNew ? labels : [], written: found.written };
};

/** Where a person has to be asked: asks, or takes what a person said for this very call and has the engine judge again. */
const askPeople = async (opts: PolicyOptions, cases: Case[]): Promise<void> => {
  const asking = openCases(cases).filter(
    ({ decision }) => decision && !(decision instanceof AgentGateError) && decision.action === 'require_approval',
  );
  if (asking.length === 0) return;
  await Promise.all(
    asking.map(async (each) => {
      try {
        await (each.ask.approval === undefined ? request(opts, each) : redeem(opts, each, each.ask.approval));
      } catch (error) {
        each.decision =
          error instanceof AgentGateError && (error.code === 'APPROVAL_INVALID' || error.code === 'POLICY_DENIED')
            ? { ...deny(error.code, error.message), ...ruleOf(each) }
            : toFailure(error);
      }
    }),
  );
  const approved = asking.filter(({ grant }) => grant);
  if (approved.length === 0) return;
  await askEngine(opts, approved);
  for (const each of approved)
    if (!isAllowed(each) && !(each.decision instanceof AgentGateError) && each.decision?.action === 'require_approval')
      each.decision = deny('POLICY_INVALID', 'the policy asks for an approval that was given');
};

const ruleOf = ({ decision }: Case) =>
  decision && !(decision instanceof AgentGateError) && decision.rule !== undefined ? { rule: decision.rule } : {};

const request = async (opts: PolicyOptions, each: OpenCase): Promise<void> => {
  const { ask, asked, found, decision } = each;
  if (!decision || decision instanceof AgentGateError) return;
  const { tenant, agent, session, call, tool } = ask;
  each.waiting = await opts.approvals.request({
    tenant,
    agent,
    session,
    call,
    tool,
    arguments: ask.arguments,
    schema_digest: asked.tool.schema_digest,
    policy: opts.revision,
    ...(decision.rule !== undefined && { rule: decision.rule }),
    reason: decision.reason,
    purpose: asked.session.purpose,
    provenance: found?.provenance ?? {},
    labels: found?.labels ?? [],
    hosts: [...new Set(found?.facts.hosts.map(({ host }) => host) ?? [])],
    approvers: decision.obligations.approvers ?? { min: 1 },
  });
};

const redeem = async (opts: PolicyOptions, each: OpenCase, approval: string): Promise<void> => {
  const { tenant, agent, session, call, tool, arguments: args } = each.ask;
  const { schema_digest } = each.asked.tool;
  const binding = approvalBinding({
    tenant,
    agent,
    session,
    tool,
    arguments: args,
    schema_digest,
    policy: opts.revision,
  });
  const answer = await opts.approvals.redeem({ approval, binding, call, tenant, agent, session, tool });
  if ('pending' in answer) {
    each.waiting = answer.pending;
    return;
  }
  const requester = { agent, person: each.asked.session.subject?.person };
  checkGrant(answer.grant, { keys: opts.trust, call, binding, requester, now: opts.now() });
  each.grant = answer.grant;
};

/** Not awaited: what a policy may read of it later is not worth a call's time, and a Redis that is lost denies by itself. */
const countDenied = ({ sessions, log }: PolicyOptions, cases: Case[]): void => {
  // Only where the session is the caller's own: the others were settled without it.
  const denied = cases.filter(
    (c) => c.asked && !(c.decision instanceof AgentGateError) && c.decision?.action === 'deny',
  );
  if (denied.length === 0) return;
  sessions
    .countDenied(denied.map((c) => c.ask.session))
    .catch((error: unknown) => log.warn({ err: error }, 'denied calls were not counted'));
};

const answer = (opts: PolicyOptions, cases: Case[]): (DecideAnswer | AgentGateError)[] => {
  const { permits, revision, now } = opts;
  const issuedAt = now();
  const promised: { each: Case; claims: PermitClaims }[] = [];
  for (const each of cases) {
    const claims = claimsOf(opts, each, issuedAt);
    if (claims) promised.push({ each, claims });
  }
  const sealed = promised.length > 0 ? permits.seal(promised.map(({ claims }) => claims)) : [];
  for (const [i, { each }] of promised.entries()) {
    const permit = sealed[i];
    if (permit) each.permit = permit;
  }
  return cases.map((each) => {
    const { decision, permit } = each;
    if (!decision) return new AgentGateError('INTERNAL', 'internal error');
    if (decision instanceof AgentGateError) return decision;
    if (decision.action === 'allow' && !permit) return new AgentGateError('INTERNAL', 'internal error');
    return {
      decision: withKept(opts, each.ask.tool, decision),
      policy: revision,
      ...(permit && { permit }),
      ...(permit && each.found?.observe && { observe: true }),
      ...(decision.action === 'require_approval' && each.waiting && { approval: each.waiting }),
      ...(each.retryAfterMs !== undefined && { retry_after_ms: Math.ceil(each.retryAfterMs) }),
    };
  });
};

/** What the permit of an allowed call says. Whatever forbids one in the last moment is the call's decision from then on. */
const claimsOf = (opts: PolicyOptions, each: Case, issuedAt: number): PermitClaims | undefined => {
  const { ask, asked, decision } = each;
  if (!asked || !decision || decision instanceof AgentGateError || decision.action !== 'allow') return undefined;
  const { call, tenant, agent, session, tool, deadline } = ask;
  if (deadline <= issuedAt) {
    each.decision = deny('TIMEOUT', 'the deadline passed before the permit was signed');
    return undefined;
  }
  const endsAt = exceptionEnds(each.exception, decision);
  if (endsAt <= issuedAt) {
    each.decision = deny('NO_GRANT', `${decision.rule} ended before the permit was signed`);
    return undefined;
  }
  const claims: PermitClaims = {
    // In canonical order, which serializes three times as fast.
    agent,
    ...(each.grant && { approval: each.grant }),
    call,
    call_digest: each.digest,
    deadline,
    expires_at: Math.min(issuedAt + limits.permitTtlMs, deadline, endsAt),
    id: opts.newId('prm'),
    issued_at: issuedAt,
    obligations: within(decision.obligations, Math.min(asked.session.expiresAt, endsAt), issuedAt),
    policy: opts.revision,
    schema_digest: asked.tool.schema_digest,
    session,
    ...(asked.session.subject && { subject: asked.session.subject }),
    tenant,
    tool,
    v: 1,
  };
  const held = heldByInvariant({ claims, tool: opts.catalog.get(tool), pin: opts.pins.get(tool) });
  if (held) each.decision = held;
  return held ? undefined : claims;
};

/** What is leased for a session's calls ends with the session, and with the exception that lets them pass. */
const within = (obligations: Obligations, endsAt: number, now: number): Obligations => {
  const { credential } = obligations;
  if (credential?.ttl_s === undefined) return obligations;
  const left = Math.max(1, Math.floor((endsAt - now) / 1_000));
  return left >= credential.ttl_s ? obligations : { ...obligations, credential: { ...credential, ttl_s: left } };
};

/** What is kept out of evidence is kept out of a refusal's, too, whoever refused. */
const withKept = ({ facts }: PolicyOptions, tool: string, decision: Decision): Decision => {
  if (decision.action === 'allow') return decision;
  const { redact, evidence } = facts.profileOf(tool) ?? {};
  if (!redact && !evidence) return decision;
  return {
    ...decision,
    obligations: { ...(redact && { redact }), ...(evidence && { evidence }), ...decision.obligations },
  };
};
