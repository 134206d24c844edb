import { type Decision, type EventData, eventData, eventType } from '@agentgate/contracts';
import type { SessionFacts } from '../session-facts.ts';

// Calls as evidence tells of them, in its order, with as much of what was known of their sessions as events say: purposes, taint, how
// many calls there were. What a session's results held is in no event: what was remembered of them cannot be had again.

/** What is read of an event. */
export interface TrialEvent {
  id: string;
  type: string;
  time: string;
  tenant?: string | undefined;
  agent?: string | undefined;
  session?: string | undefined;
  data: unknown;
}

export interface RecordedCall {
  event: string;
  /** Milliseconds since the epoch. */
  at: number;
  tenant: string;
  agent: string;
  session: string;
  call: string;
  tool: string;
  decision: Decision;
  policy?: string;
  /** Absent where evidence holds a digest in their place. */
  arguments?: Record<string, unknown>;
  /** Pointers of what was taken out of them. */
  redacted: string[];
  approval: { granted: true; by: string; at: number } | null;
  /** The operator's exception that it passed by: a person's word as well, and not the policy's. */
  exception?: { id: string; owner: string; until: string };
  facts: SessionFacts;
  /** Whether the event that opened the session was read: without it the purpose is not known. */
  opened: boolean;
  /** Whether results of the session may have been remembered before the call. */
  remembers: boolean;
}

export interface History {
  /** The call, where the event tells of one. */
  take(event: TrialEvent): RecordedCall | undefined;
}

interface Session {
  openedAt: number;
  opened: boolean;
  purpose: string;
  person: string | undefined;
  calls: number;
  denied: number;
  taint: Set<string>;
  remembers: boolean;
}

const types = {
  opened: eventType('session.opened'),
  cleared: eventType('session.cleared'),
  decided: eventType('call.decided'),
  granted: eventType('approval.granted'),
  excepted: eventType('policy.exception_added'),
};
const exceptionRule = 'exception/';
/** A session lives for a day; what is older is forgotten. */
const maxSessions = 100_000;

export const createHistory = (): History => {
  const sessions = new Map<string, Session>();
  const agentTaint = new Map<string, Set<string>>();
  const approvals = new Map<string, { by: string[]; at: number }>();
  const exceptions = new Map<string, { owner: string; until: string }>();

  const sessionOf = (id: string, at: number): Session => {
    const known = sessions.get(id);
    if (known) return known;
    if (sessions.size >= maxSessions) sessions.delete(sessions.keys().next().value ?? '');
    const session: Session = {
      openedAt: at,
      opened: false,
      purpose: '',
      person: undefined,
      calls: 0,
      denied: 0,
      taint: new Set(),
      remembers: true,
    };
    sessions.set(id, session);
    return session;
  };
  const taintOf = (tenant: string, agent: string): Set<string> => {
    const key = `${tenant}/${agent}`;
    const taint = agentTaint.get(key) ?? new Set();
    agentTaint.set(key, taint);
    return taint;
  };

  const open = ({ session, purpose, person }: EventData<'session.opened'>, at: number) => {
    const opened = sessionOf(session, at);
    Object.assign(opened, { opened: true, openedAt: at, purpose: purpose ?? '', person: person?.id, remembers: false });
  };
  const clear = ({ on, labels }: EventData<'session.cleared'>, tenant: string) => {
    for (const label of labels) {
      if (on.session !== undefined) sessions.get(on.session)?.taint.delete(label);
      if (on.agent !== undefined) taintOf(tenant, on.agent).delete(label);
    }
  };

  const decided = (event: TrialEvent, data: EventData<'call.decided'>, at: number): RecordedCall | undefined => {
    const { tenant, agent, session: id } = event;
    if (tenant === undefined || agent === undefined || id === undefined) return undefined;
    const session = sessionOf(id, at);
    const ofAgent = taintOf(tenant, agent);
    session.calls++;
    const { decision } = data;
    const granted = data.approval === undefined ? undefined : approvals.get(data.approval);
    const exception = decision.rule?.startsWith(exceptionRule) ? decision.rule.slice(exceptionRule.length) : undefined;
    const call: RecordedCall = {
      event: event.id,
      at,
      tenant,
      agent,
      session: id,
      call: data.call,
      tool: data.tool,
      decision,
      ...(data.policy && { policy: data.policy.revision }),
      ...(data.arguments && { arguments: data.arguments }),
      redacted: data.redacted ?? [],
      approval:
        granted && decision.action === 'allow' ? { granted: true, by: granted.by.join(', '), at: granted.at } : null,
      ...(exception !== undefined && {
        exception: { id: exception, ...(exceptions.get(exception) ?? { owner: 'unknown', until: 'unknown' }) },
      }),
      facts: {
        tenant,
        agent,
        openedAt: session.openedAt,
        expiresAt: Number.MAX_SAFE_INTEGER,
        purpose: session.purpose,
        ...(session.person !== undefined && { subject: { id: 'sub_0000000000', person: session.person } }),
        held: false,
        calls: session.calls,
        denied: session.denied,
        taint: { session: [...session.taint], agent: [...ofAgent] },
      },
      opened: session.opened,
      remembers: session.remembers,
    };
    if (decision.action === 'deny') session.denied++;
    if (decision.action === 'allow') {
      session.remembers = true;
      for (const label of decision.obligations.taint ?? []) {
        session.taint.add(label);
        ofAgent.add(label);
      }
    }
    return call;
  };

  return {
    take: (event) => {
      const at = Date.parse(event.time);
      if (event.type === types.opened) {
        const data = eventData['session.opened'].safeParse(event.data);
        if (data.success) open(data.data, at);
      } else if (event.type === types.cleared) {
        const data = eventData['session.cleared'].safeParse(event.data);
        if (data.success) clear(data.data, event.tenant ?? '');
      } else if (event.type === types.excepted) {
        const data = eventData['policy.exception_added'].safeParse(event.data);
        if (data.success) exceptions.set(data.data.exception, { owner: data.data.owner, until: data.data.until });
      } else if (event.type === types.granted) {
        const data = eventData['approval.granted'].safeParse(event.data);
        if (data.success) {
          const { approval, by } = data.data;
          approvals.set(approval, { by: [...(approvals.get(approval)?.by ?? []), by], at });
        }
      } else if (event.type === types.decided) {
        const data = eventData['call.decided'].safeParse(event.data);
        if (data.success) return decided(event, data.data, at);
      }
      return undefined;
    },
  };
};
