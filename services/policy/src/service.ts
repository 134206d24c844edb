import {
  AgentGateError,
  type CatalogTool,
  type ClearTaintAnswer,
  type ClearTaintAsk,
  type DecideAnswer,
  type DecideAsk,
  type ListingPermit,
  limits,
  type PolicyRevision,
  type SessionOwnerAnswer,
  type ToolListing,
} from '@agentgate/contracts';
import type { KeyRing } from '@agentgate/evidence';
import {
  type AgentIdentity,
  type FactFinder,
  matchingGrants,
  mayCall,
  type PolicyData,
  resultValues,
  type SessionOwner,
} from '@agentgate/policy-engine';
import { quarantineOf } from '@agentgate/runtime';
import { decideAll, isServed, sessionRefusal } from './decide.ts';
import type {
  Agents,
  Approvals,
  Catalog,
  Engine,
  Evidence,
  Exempt,
  Memory,
  Permits,
  Pins,
  RateLimits,
  Sessions,
} from './ports.ts';
import type { Shadow } from './shadow.ts';

/** The one revision that decides a batch, from its first call to its last. */
export interface Deciding {
  engine: Engine;
  facts: FactFinder;
  data: PolicyData;
  revision: PolicyRevision;
  /** As `Instance` has it. */
  factsDigest?: string;
}
export interface PolicyOptions extends Deciding {
  sessions: Sessions;
  agents: Agents;
  catalog: Catalog;
  pins: Pins;
  permits: Permits;
  evidence: Evidence;
  memory: Memory;
  rateLimits: RateLimits;
  approvals: Approvals;
  exceptions: Exempt;
  shadow: Pick<Shadow, 'isOn' | 'offer'>;
  /** Verifies what the approvals service signs. */
  trust: KeyRing;
  /** The servers of the configuration: what the catalog still knows of others is not called. */
  servers: ReadonlySet<string>;
  newId: (prefix: 'ses' | 'prm') => string;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

export interface Policy {
  /** One answer a call, in order. An error means that this call could not be decided. */
  decide(asks: DecideAsk[]): Promise<(DecideAnswer | AgentGateError)[]>;
  openSession(
    ask: SessionOwner & {
      purpose?: string | undefined;
      subject?: { id: string; person: string; issuer: string } | undefined;
    },
  ): Promise<{ session: string; expires_at: string }>;
  visible(ask: SessionOwner & { session?: string | undefined }): Promise<ToolListing[]>;
  hold(ask: SessionOwner & { session: string; call: string; held: boolean }): Promise<void>;
  /** Remembers where a result's values stood, before the agent sees it. */
  observe(ask: SessionOwner & { session: string; tool: string; result?: unknown }): Promise<void>;
  clearTaint(by: string, ask: ClearTaintAsk): Promise<ClearTaintAnswer>;
  /** Whose a session is. Throws UNKNOWN_SESSION. */
  whoseSession(session: string): Promise<SessionOwnerAnswer>;
  /** Lets the runner read a server's list of tools with the credential that the configuration names for that. Throws POLICY_DENIED elsewhere. */
  permitListing(server: string): Promise<ListingPermit>;
}

/** So long a server may take to be started and to tell its tools. */
const listingMs = 45_000;

export const createPolicy = (
  opts: Omit<PolicyOptions, keyof Deciding> & {
    /** Rejects POLICY_UNAVAILABLE where nothing may decide. */
    under<T>(work: (deciding: Deciding) => Promise<T>): Promise<T>;
  },
): Policy => {
  const { sessions, now } = opts;

  const decide: Policy['decide'] = (asks) => opts.under((deciding) => decideAll({ ...opts, ...deciding }, asks));

  const openSession: Policy['openSession'] = async ({ tenant, agent, purpose, subject }) => {
    const record = opts.agents.get(tenant, agent);
    if (!record) throw unknownAgent(agent);
    if (!(await sessions.admit({ tenant, agent })))
      throw new AgentGateError('RATE_LIMITED', `agent ${agent} opened too many sessions in this hour`);
    const openedAt = now();
    const expiresAt = openedAt + limits.sessionTtlMs;
    const session = opts.newId('ses');
    const expires_at = new Date(expiresAt).toISOString();
    // Evidence first: a session that can be used is always one that was recorded.
    const data = {
      session,
      expires_at,
      ...(purpose !== undefined && { purpose }),
      ...(subject && { person: { id: subject.person, issuer: subject.issuer } }),
    };
    await opts.evidence.record({ name: 'session.opened', subject: session, tenant, agent, session, data });
    await sessions.open({
      tenant,
      agent,
      session,
      openedAt,
      expiresAt,
      purpose: purpose ?? '',
      user: record.user,
      subject: subject && { id: subject.id, person: subject.person },
    });
    return { session, expires_at };
  };

  const visible: Policy['visible'] = async ({ tenant, agent, session }) => {
    const record = opts.agents.get(tenant, agent);
    if (!record) throw unknownAgent(agent);
    if (session !== undefined) {
      const [facts] = await sessions.look([{ tenant, agent, session }], { count: false });
      const refused = sessionRefusal({ tenant, agent }, facts, { record, now: now() });
      if (refused) throw new AgentGateError(refused.code, refused.reason);
    }
    const identity: AgentIdentity = { tenant, name: agent, labels: record.labels };
    const mayReach = (data: PolicyData, name: string) =>
      mayCall(data, identity, name) ||
      (opts.exceptions.mayCover({ tenant, agent, tool: name }) && !isDenied(data, identity, name));
    return opts.under(async ({ data }) =>
      Array.from(opts.catalog.all())
        .filter(({ name }) => isServed(opts, name) && mayReach(data, name))
        .filter(({ name, schema_digest }) => quarantineOf(name, opts.pins.get(name), schema_digest) === undefined)
        .map(({ name, description, input_schema, annotations }) => ({ name, description, input_schema, annotations }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
  };

  const hold: Policy['hold'] = async (ask) => {
    if (!(await sessions.hold(ask))) throw new AgentGateError('UNKNOWN_SESSION', 'the session is not known');
  };

  const observe: Policy['observe'] = async ({ tenant, agent, session, tool, result }) => {
    const known = opts.catalog.get(tool);
    // What is gone from the catalog meanwhile is judged by its name alone.
    const described = await opts.under(async ({ facts }) => facts.describe(known ?? nameOnly(tool)));
    const seen = resultValues(result, described);
    await opts.memory.remember({ tenant, agent, session, tool, private: described.results.private, ...seen });
  };

  const clearTaint: Policy['clearTaint'] = async (by, { tenant = 'default', agent, session, labels, reason }) => {
    const owner = await ownerOf(tenant, agent, session);
    if (!owner) return { v: 1, status: 'not_found', cleared: [] };
    const on = { ...owner, ...(session !== undefined && { session }) };
    const cleared = (await opts.memory.taintOf(on)).filter((label) => labels?.includes(label) ?? true);
    if (cleared.length === 0) return { v: 1, status: 'not_tainted', cleared };
    // Evidence first: nothing is cleared that nobody can read of.
    await opts.evidence.record({
      name: 'session.cleared',
      subject: session ?? owner.agent,
      ...on,
      data: { on: { agent: owner.agent, ...(session !== undefined && { session }) }, labels: cleared, by, reason },
    });
    await opts.memory.clearTaint(on, cleared);
    return { v: 1, status: 'cleared', cleared };
  };

  const whoseSession: Policy['whoseSession'] = async (session) => {
    // Nobody is asking as an agent: the facts are of whom they are of.
    const [facts] = await sessions.look([{ tenant: '', agent: '', session }], { count: false });
    if (!facts) throw new AgentGateError('UNKNOWN_SESSION', `session ${session} is not known; it may have expired`);
    const [opened_at, expires_at] = [facts.openedAt, facts.expiresAt].map((at) => new Date(at).toISOString());
    return { v: 1, session, tenant: facts.tenant, agent: facts.agent, opened_at, expires_at } as SessionOwnerAnswer;
  };

  const ownerOf = async (
    tenant: string,
    agent: string | undefined,
    session: string | undefined,
  ): Promise<SessionOwner | undefined> => {
    if (session === undefined)
      return agent !== undefined && opts.agents.get(tenant, agent) ? { tenant, agent } : undefined;
    const [facts] = await sessions.look([{ tenant, agent: agent ?? '', session }], { count: false });
    if (!facts || facts.tenant !== tenant || (agent !== undefined && facts.agent !== agent)) return undefined;
    return { tenant, agent: facts.agent };
  };

  const permitListing: Policy['permitListing'] = (server) =>
    opts.under(async ({ data, revision }) => {
      const { listings } = data;
      const credential = Object.hasOwn(listings, server) ? listings[server] : undefined;
      if (!credential)
        throw new AgentGateError('POLICY_DENIED', `server ${server} is not configured to be listed with a credential`);
      const issued_at = now();
      return opts.permits.sealListing({
        credential,
        deadline: issued_at + listingMs,
        expires_at: issued_at + limits.permitTtlMs,
        id: opts.newId('prm'),
        issued_at,
        policy: revision,
        server,
        v: 1,
      });
    });

  return { decide, openSession, visible, hold, observe, clearTaint, whoseSession, permitListing };
};

/** An exception stands in for a grant, and for nothing that a grant denies. */
const isDenied = (data: PolicyData, agent: AgentIdentity, tool: string): boolean =>
  matchingGrants(data, agent, tool).some((n) => {
    const grant = data.grants.list[n];
    return grant?.effect === 'deny' && !grant.conditional;
  });

const nameOnly = (tool: string): CatalogTool => ({
  v: 1,
  name: tool,
  description: '',
  input_schema: {},
  annotations: {},
  schema_digest: '',
  seen_at: '',
});
const unknownAgent = (agent: string) => new AgentGateError('POLICY_DENIED', `agent ${agent} is not known`);
