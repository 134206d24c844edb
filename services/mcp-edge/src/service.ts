import { AgentGateClientError, type CallReply, type Session, type ToolListing } from '@agentgate/client';
import { type Code, statusOfRefusal } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import { createApprovals } from './approvals.ts';
import type { Connected } from './connections.ts';
import { fullName, namesOf, type ToolNames } from './tool-names.ts';

/** Who asks, and in whose words what for. */
export interface Caller extends Connected {
  /** What the agent's user asked for, in their words. A session of the gate has one purpose. */
  purpose: string | undefined;
}

export interface McpEdge {
  tools(caller: Caller): Promise<ToolListing[]>;
  /** Resolves with the gate's reply, or with what the gate would reply where none came. Rejects NoSuchTool. */
  call(caller: Caller, name: string, args: Record<string, unknown>, signal: AbortSignal): Promise<CallReply>;
  /** Forgets what has expired. To be called now and then. */
  sweep(): void;
  readonly sessions: number;
}

/** A name that means no tool, or two. */
export class NoSuchTool extends Error {
  override readonly name = 'NoSuchTool';
}

/** What is known of one agent. */
interface Known {
  /** By the digest of their purpose. A session that was killed stays, for as long as it would have lived: the agent gets no other by asking again. */
  sessions: Map<string, { opened: Promise<Session>; expiresAt: number }>;
  names: ToolNames;
}

/** Of a session among those of its agent. */
const keyOf = ({ purpose }: Caller) => sha256Hex(purpose ?? '');
/** Of one agent at a time. */
export const maxSessions = 64;
/** Nothing ran, and another session is right: this one's time is over, or the gate lost it. */
const isGone = (code: string) => code === 'SESSION_EXPIRED' || code === 'UNKNOWN_SESSION';

export interface McpEdgeOptions {
  now: () => number;
  /** How long a call may take. Without it the client would stop waiting after a minute, whatever the gate allows. */
  callTimeoutMs: number;
}

export const createMcpEdge = ({ now, callTimeoutMs }: McpEdgeOptions): McpEdge => {
  const agents = new Map<string, Known>();
  const approvals = createApprovals({ now });
  const knownOf = (user: string): Known => {
    const known = agents.get(user) ?? { sessions: new Map(), names: new Map() };
    agents.set(user, known);
    return known;
  };
  const forgetExpired = ({ sessions }: Known) => {
    for (const [purpose, { expiresAt }] of sessions) if (expiresAt <= now()) sessions.delete(purpose);
  };

  const open = ({ sessions }: Known, caller: Caller): Promise<Session> => {
    const { client, purpose } = caller;
    const key = keyOf(caller);
    if (sessions.size >= maxSessions)
      throw new AgentGateClientError(
        'OVERLOADED',
        `${maxSessions} sessions of this agent are open here, each with a purpose of its own`,
      );
    const entry = {
      opened: client.openSession(purpose === undefined ? {} : { purpose }),
      expiresAt: Number.POSITIVE_INFINITY,
    };
    sessions.set(key, entry);
    entry.opened.then(
      ({ expiresAt }) => {
        entry.expiresAt = Date.parse(expiresAt);
      },
      () => sessions.delete(key),
    );
    return entry.opened;
  };
  /** The session of the caller's purpose, over the caller's own connection. */
  const sessionOf = async (caller: Caller): Promise<Session> => {
    const known = knownOf(caller.user);
    forgetExpired(known);
    const { id, expiresAt } = await (known.sessions.get(keyOf(caller))?.opened ?? open(known, caller));
    return caller.client.session(id, expiresAt);
  };
  /** Does it once more in another session where this one is gone. */
  const inSession = async <T>(caller: Caller, work: (session: Session) => Promise<T>, codeOf: (done: T) => string) => {
    const session = await sessionOf(caller);
    const done = await work(session).catch((error: unknown) => {
      if (error instanceof AgentGateClientError && isGone(error.code)) return error;
      throw error;
    });
    if (!(done instanceof AgentGateClientError) && !isGone(codeOf(done))) return done;
    await forget(caller, session.id);
    return work(await sessionOf(caller));
  };
  /** Unless another caller did, and opened the next one. */
  const forget = async (caller: Caller, id: string) => {
    const { sessions } = knownOf(caller.user);
    const key = keyOf(caller);
    if ((await sessions.get(key)?.opened)?.id === id) sessions.delete(key);
  };

  const tools: McpEdge['tools'] = async (caller) => {
    const listed = await inSession(
      caller,
      (session) => session.tools(),
      () => 'OK',
    );
    knownOf(caller.user).names = namesOf(listed.map(({ name }) => name));
    return listed;
  };
  return {
    tools,
    call: async (caller, name, args, signal) => {
      try {
        if (!knownOf(caller.user).names.has(name) && !name.includes('/')) await tools(caller);
        const meant = fullName(knownOf(caller.user).names, name);
        if ('problem' in meant) throw new NoSuchTool(meant.problem);
        const { tool } = meant;
        return await inSession(
          caller,
          (session) =>
            approvals.around({ session: session.id, tool, args }, (approval) =>
              session.call(tool, args, { signal, timeoutMs: callTimeoutMs, ...approval }),
            ),
          ({ code }) => code,
        );
      } catch (error) {
        if (error instanceof AgentGateClientError) return replyOf(error);
        throw error;
      }
    },
    sweep: () => {
      for (const [user, known] of agents) {
        forgetExpired(known);
        if (known.sessions.size === 0) agents.delete(user);
      }
      approvals.sweep();
    },
    get sessions() {
      return [...agents.values()].reduce((all, { sessions }) => all + sessions.size, 0);
    },
  };
};

/** What the gate would reply. */
const replyOf = ({ code, message }: AgentGateClientError): CallReply => {
  const known: Code =
    code === 'NOT_CONNECTED' || code === 'NO_ANSWER' || code === 'CREDENTIALS_INVALID' ? 'INTERNAL' : code;
  return { v: 1, status: statusOfRefusal(known), code: known, reason: message };
};
