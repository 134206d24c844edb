import {
  AgentGateError,
  type CatalogTool,
  type DecideAnswer,
  type DecideAsk,
  type Decision,
  limits,
  type PermitClaims,
  type PolicyRevision,
  type ToolListing,
} from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import type { PolicyInput } from './engine/policy-input.ts';
import { mayCall } from './grants/lookup.ts';
import { type AgentIdentity, type PolicyData, splitTool } from './grants/policy-data.ts';
import { deny, outcomeOf } from './outcome.ts';
import type { Agents, Catalog, Engine, Evidence, Permits, SessionFacts, SessionOwner, Sessions } from './ports.ts';

export interface PolicyOptions {
  engine: Engine;
  sessions: Sessions;
  agents: Agents;
  catalog: Catalog;
  permits: Permits;
  evidence: Evidence;
  data: PolicyData;
  /** The servers of the configuration: what the catalog still knows of others is not called. */
  servers: ReadonlySet<string>;
  revision: PolicyRevision;
  newId: (prefix: 'ses' | 'prm') => string;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

export interface Policy {
  /** One answer a call, in order. An error means that this call could not be decided. */
  decide(asks: DecideAsk[]): Promise<(DecideAnswer | AgentGateError)[]>;
  openSession(ask: SessionOwner & { purpose?: string | undefined }): Promise<{ session: string; expires_at: string }>;
  visible(ask: SessionOwner & { session?: string | undefined }): Promise<ToolListing[]>;
  hold(ask: SessionOwner & { session: string; call: string; held: boolean }): Promise<void>;
}

/** A call on its way: it has its decision as soon as something settled it. */
interface Case {
  ask: DecideAsk;
  digest: string;
  input?: PolicyInput;
  decision?: Decision | AgentGateError;
}

export const createPolicy = (opts: PolicyOptions): Policy => {
  const { sessions, now } = opts;

  const decide: Policy['decide'] = async (asks) => {
    const facts = await sessions.look(asks, { count: true });
    const cases = asks.map((ask, i) => prepare(opts, ask, facts[i]));
    await askEngine(opts, cases);
    countDenied(opts, cases);
    return answer(opts, cases);
  };

  const openSession: Policy['openSession'] = async ({ tenant, agent, purpose }) => {
    if (!opts.agents.get(tenant, agent)) throw unknownAgent(agent);
    if (!(await sessions.admit({ tenant, agent })))
      throw new AgentGateError('RATE_LIMITED', `agent ${agent} opened too many sessions in this hour`);
    const openedAt = now();
    const expiresAt = openedAt + limits.sessionTtlMs;
    const session = opts.newId('ses');
    const expires_at = new Date(expiresAt).toISOString();
    // Evidence first: a session that can be used is always one that was recorded.
    const data = { session, expires_at, ...(purpose !== undefined && { purpose }) };
    await opts.evidence.record({ name: 'session.opened', subject: session, tenant, agent, session, data });
    await sessions.open({ tenant, agent, session, openedAt, expiresAt, purpose: purpose ?? '' });
    return { session, expires_at };
  };

  const visible: Policy['visible'] = async ({ tenant, agent, session }) => {
    const record = opts.agents.get(tenant, agent);
    if (!record) throw unknownAgent(agent);
    if (session !== undefined) {
      const [facts] = await sessions.look([{ tenant, agent, session }], { count: false });
      const refused = sessionRefusal({ tenant, agent }, facts, now());
      if (refused) throw new AgentGateError(refused.code, refused.reason);
    }
    const identity: AgentIdentity = { tenant, name: agent, labels: record.labels };
    return Array.from(opts.catalog.all())
      .filter((tool) => isServed(opts, tool.name) && mayCall(opts.data, identity, tool.name))
      .map(({ name, description, input_schema, annotations }) => ({ name, description, input_schema, annotations }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  };

  const hold: Policy['hold'] = async (ask) => {
    if (!(await sessions.hold(ask))) throw new AgentGateError('UNKNOWN_SESSION', 'the session is not known');
  };

  return { decide, openSession, visible, hold };
};

const unknownAgent = (agent: string) => new AgentGateError('POLICY_DENIED', `agent ${agent} is not known`);
const isServed = (opts: PolicyOptions, tool: string) => opts.servers.has(splitTool(tool).server);

const sessionRefusal = (owner: SessionOwner, facts: SessionFacts | undefined, now: number): Decision | undefined => {
  // Somebody else's session is answered as one that does not exist.
  if (!facts || facts.tenant !== owner.tenant || facts.agent !== owner.agent)
    return deny('UNKNOWN_SESSION', 'the session is not known');
  if (facts.expiresAt <= now) return deny('SESSION_EXPIRED', 'the session has expired');
  if (facts.held)
    return deny('POLICY_DENIED', 'the session is held: the outcome of an earlier call is not in evidence');
  return undefined;
};

/** What settles a call before the engine, or the engine's input. */
const prepare = (opts: PolicyOptions, ask: DecideAsk, facts: SessionFacts | undefined): Case => {
  const now = opts.now();
  const { tenant, agent, call, session, tool } = ask;
  const settled = (decision: Decision): Case => ({ ask, digest: '', decision });
  const record = opts.agents.get(tenant, agent);
  if (!record) return settled(deny('POLICY_DENIED', `agent ${agent} is not known`));
  const refused = sessionRefusal(ask, facts, now);
  if (refused || !facts) return settled(refused ?? deny('UNKNOWN_SESSION', 'the session is not known'));
  const known = isServed(opts, tool) ? opts.catalog.get(tool) : undefined;
  if (!known) return settled(deny('UNKNOWN_TOOL', `tool ${tool} is not known`));
  if (ask.deadline <= now) return settled(deny('TIMEOUT', 'the deadline passed before the decision'));
  let digest: string;
  try {
    digest = sha256Hex(canonical({ agent, arguments: ask.arguments, call, session, tenant, tool }));
  } catch {
    return settled(deny('FIELD_INVALID', '/arguments: has no canonical form'));
  }
  return { ask, digest, input: inputOf({ ask, digest, facts, tool: known, labels: record.labels, now }) };
};

const inputOf = (from: {
  ask: DecideAsk;
  digest: string;
  facts: SessionFacts;
  tool: CatalogTool;
  labels: string[];
  now: number;
}): PolicyInput => {
  const { ask, digest, facts, tool, labels, now } = from;
  return {
    call: { tool: ask.tool, ...splitTool(ask.tool), arguments: ask.arguments, digest },
    tool: { labels: [], annotations: tool.annotations, schema_digest: tool.schema_digest, pinned: false },
    agent: { name: ask.agent, tenant: ask.tenant, labels },
    session: {
      id: ask.session,
      age_s: Math.max(0, Math.floor((now - facts.openedAt) / 1000)),
      purpose: facts.purpose,
      taint: [],
      calls: facts.calls,
      denied: facts.denied,
    },
    provenance: {},
    approval: null,
    now,
  };
};

const askEngine = async (opts: PolicyOptions, cases: Case[]): Promise<void> => {
  const open = cases.filter((each) => each.input !== undefined);
  if (open.length === 0) return;
  const evaluations = await opts.engine.decide(open.flatMap((each) => each.input ?? []));
  for (const [i, each] of open.entries()) {
    const { server } = splitTool(each.ask.tool);
    const evaluation = evaluations[i] ?? new AgentGateError('POLICY_UNAVAILABLE', 'the policy engine gave no answer');
    try {
      each.decision = withApproval(each.ask, outcomeOf(evaluation, { server, credentials: opts.data.credentials }));
    } catch (error) {
      each.decision =
        error instanceof AgentGateError ? error : new AgentGateError('INTERNAL', 'internal error', { cause: error });
    }
  }
};

/** Nobody grants approvals yet, so one that is named is none: asking with it must not look like asking for one. */
const withApproval = (ask: DecideAsk, decision: Decision): Decision =>
  decision.action === 'require_approval' && ask.approval !== undefined
    ? {
        ...deny('APPROVAL_INVALID', `approval ${ask.approval} is not known`),
        ...(decision.rule !== undefined && { rule: decision.rule }),
      }
    : decision;

/** Not awaited: what a policy may read of it later is not worth a call's time, and a Redis that is lost denies by itself. */
const countDenied = ({ sessions, log }: PolicyOptions, cases: Case[]): void => {
  // Only where the session is the caller's own: the others' decisions carry no input.
  const denied = cases.filter(
    (c) => c.input && !(c.decision instanceof AgentGateError) && c.decision?.action === 'deny',
  );
  if (denied.length === 0) return;
  sessions
    .countDenied(denied.map((c) => c.ask.session))
    .catch((error: unknown) => log.warn({ err: error }, 'denied calls were not counted'));
};

const answer = ({ permits, revision, newId, now }: PolicyOptions, cases: Case[]): (DecideAnswer | AgentGateError)[] => {
  const issuedAt = now();
  const claims = new Map<Case, PermitClaims>();
  for (const each of cases) {
    if (each.decision instanceof AgentGateError || each.decision?.action !== 'allow') continue;
    const { call, tenant, agent, session, tool, deadline } = each.ask;
    if (deadline <= issuedAt) {
      each.decision = deny('TIMEOUT', 'the deadline passed before the permit was signed');
      continue;
    }
    claims.set(each, {
      // In canonical order, which serializes three times as fast.
      agent,
      call,
      call_digest: each.digest,
      deadline,
      expires_at: Math.min(issuedAt + limits.permitTtlMs, deadline),
      id: newId('prm'),
      issued_at: issuedAt,
      obligations: each.decision.obligations,
      policy: revision,
      session,
      tenant,
      tool,
      v: 1,
    });
  }
  const sealed = claims.size > 0 ? permits.seal([...claims.values()]) : [];
  const permitOf = new Map([...claims.keys()].map((each, i) => [each, sealed[i]]));
  return cases.map((each) => {
    const { decision } = each;
    if (!decision) return new AgentGateError('INTERNAL', 'internal error');
    if (decision instanceof AgentGateError) return decision;
    const permit = permitOf.get(each);
    if (decision.action === 'allow' && !permit) return new AgentGateError('INTERNAL', 'internal error');
    return { decision, policy: revision, ...(permit && { permit }) };
  });
};
