import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AgentVerb,
  agentSubject,
  agentVerbs,
  type CallReply,
  callReply,
  cancelAnswer,
  refusal,
  sessionAnswer,
  type ToolListing,
  toolsAnswer,
} from '@agentgate/contracts';
import type { z } from 'zod';
import { type ConnectOptions, connectAs } from './connection.ts';
import { AgentGateClientError, fromBus } from './error.ts';

export interface CallOptions {
  /** Cancels the call. The reply still comes and says what became of it. */
  signal?: AbortSignal;
  /** How long the call may take; without it the gate's own limit holds, and who hears nothing for 60 s is told OUTCOME_UNKNOWN. */
  timeoutMs?: number;
  /** The same key within ten minutes returns the first call's reply, and nothing runs twice. */
  key?: string;
  /** A granted approval for exactly this call. */
  approval?: string;
  /**
   * Where a person has to be asked, waits for the answer and calls again; at most so long, else until the question expires. Resolves with
   * the last reply: `approval_required` when nobody answered in time. `signal` ends the waiting with CANCELLED.
   */
  waitForApproval?: true | { timeoutMs: number };
}
export type CancelStatus = z.infer<typeof cancelAnswer>['status'];

/** The gate's view of one task. */
export interface Session {
  readonly id: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  /** Resolves with the gate's reply, also for a call that it refused; rejects where no reply came. */
  call(tool: string, args: Record<string, unknown>, opts?: CallOptions): Promise<CallReply>;
  /** The tools that policy lets this agent call. */
  tools(): Promise<ToolListing[]>;
}
export interface AgentClient {
  /** The agent's name, from its credentials. */
  readonly name: string;
  /**
   * `purpose` is what the agent's user asked for, in their words. `subjectToken` is a JWT that says who that user is: credentials may then be
   * theirs.
   */
  openSession(opts?: { purpose?: string; subjectToken?: string }): Promise<Session>;
  /** A session that was opened before. */
  session(id: string, expiresAt?: string): Session;
  cancel(which: { call: string } | { key: string }): Promise<CancelStatus>;
  connected(): boolean;
  close(): Promise<void>;
}

/** The gate answers at the call's own deadline; its answer may take so much longer. */
const graceMs = 5_000;

export const connect = async (options: ConnectOptions): Promise<AgentClient> => {
  const { bus, name } = await connectAs(options, 'client');
  const ask = (verb: AgentVerb, body: object, timeoutMs: number) =>
    bus.requestRaw(agentSubject(name, verb), JSON.stringify({ v: 1, ...body }), { of: 'ingress', timeoutMs });
  /** One of the verbs whose refusal stands in place of its answer. */
  const request = async <T>(verb: Exclude<AgentVerb, 'call'>, body: object, schema: z.ZodType<T>): Promise<T> => {
    const data = await ask(verb, body, agentVerbs[verb].timeoutMs).catch((error: unknown) => {
      throw fromBus(error, false);
    });
    return open(data, schema);
  };
  const cancel: AgentClient['cancel'] = async (which) => (await request('cancel', which, cancelAnswer)).status;
  const call = async (
    session: string,
    tool: string,
    args: Record<string, unknown>,
    opts: CallOptions,
  ): Promise<CallReply> => {
    const { signal, timeoutMs, approval } = opts;
    if (signal?.aborted) throw new AgentGateClientError('CANCELLED', 'the call was cancelled before it was sent');
    // Only a key names a call whose id is not known yet.
    const key = opts.key ?? (signal ? randomUUID() : undefined);
    const body = {
      session,
      tool,
      arguments: args,
      ...(key === undefined ? {} : { key }),
      ...(approval === undefined ? {} : { approval }),
      ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
    };
    const onAbort = () => {
      // If it fails, the reply comes all the same, later.
      if (key !== undefined) cancel({ key }).catch(() => {});
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return open(
        await ask('call', body, timeoutMs === undefined ? agentVerbs.call.timeoutMs : timeoutMs + graceMs),
        callReply,
      );
    } catch (error) {
      throw fromBus(error, true);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  };
  const session = (id: string, expiresAt = ''): Session => ({
    id,
    expiresAt,
    call: (tool, args, opts = {}) => whenApproved((more) => call(id, tool, args, { ...opts, ...more }), opts),
    tools: async () => (await request('tools', { session: id }, toolsAnswer)).tools,
  });
  return {
    name,
    openSession: async ({ purpose, subjectToken } = {}) => {
      const body = {
        ...(purpose !== undefined && { purpose }),
        ...(subjectToken !== undefined && { subject_token: subjectToken }),
      };
      const opened = await request('session', body, sessionAnswer);
      return session(opened.session, opened.expires_at);
    },
    session,
    cancel,
    connected: () => bus.connected(),
    close: () => bus.close(),
  };
};

const firstPollMs = 1_000;
const lastPollMs = 10_000;

/** Asks again with the approval, less and less often: who waits an hour asks a few hundred times. */
const whenApproved = async (
  call: (more: { approval?: string }) => Promise<CallReply>,
  { waitForApproval, signal }: CallOptions,
): Promise<CallReply> => {
  let reply = await call({});
  if (waitForApproval === undefined) return reply;
  const until = waitForApproval === true ? Number.POSITIVE_INFINITY : performance.now() + waitForApproval.timeoutMs;
  for (let pause = firstPollMs; reply.status === 'approval_required' && reply.approval; ) {
    const { id, expires_at } = reply.approval;
    const left = Math.min(until - performance.now(), Date.parse(expires_at) - Date.now());
    if (left <= 0) return reply;
    try {
      await sleep(Math.min(pause, left), undefined, signal ? { signal } : {});
    } catch (cause) {
      throw new AgentGateClientError('CANCELLED', 'the call was cancelled while it waited for approval', { cause });
    }
    pause = Math.min(pause * 1.5, lastPollMs);
    reply = await call({ approval: id });
  }
  return reply;
};

const open = <T>(data: Uint8Array, schema: z.ZodType<T>): T => {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(data));
  } catch (cause) {
    throw new AgentGateClientError('MALFORMED', 'the gate answered something that is no JSON', { cause });
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const refused = refusal.safeParse(body);
  if (refused.success) throw new AgentGateClientError(refused.data.code, refused.data.reason);
  throw new AgentGateClientError('MALFORMED', 'the gate answered in another form than agreed', { cause: parsed.error });
};
