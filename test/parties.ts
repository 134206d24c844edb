import type { Bus } from '@agentgate/bus';
import {
  type AgentVerb,
  type CallReply,
  callReply,
  type KillReceipt,
  killReceipt,
  killsAnswer,
  liftAnswer,
  type Scope,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { Stack } from './stack.ts';

const decode = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
const patienceMs = 20_000;

/** An agent that says exactly what a test wants it to say; `@agentgate/client` would not send half of it. */
export interface Agent {
  name: string;
  bus: Bus;
  /** A text or bytes go out as they are. */
  ask(verb: AgentVerb, body: object | string | Uint8Array): Promise<Record<string, unknown>>;
  open(purpose?: string): Promise<string>;
  call(session: string, tool: string, args: object, more?: object): Promise<CallReply>;
}

export const openAgent = async (stack: Stack, user = 'agent-demo'): Promise<Agent> => {
  const bus = await stack.connect(user);
  const name = user.replace(/^.*agent-/, '');
  const ask: Agent['ask'] = async (verb, body) => {
    const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    return decode(await bus.requestRaw(`agent.${name}.${verb}`, bytes, { of: 'ingress', timeoutMs: patienceMs }));
  };
  return {
    name,
    bus,
    ask,
    open: async (purpose) => {
      const { session } = await ask('session', { v: 1, ...(purpose === undefined ? {} : { purpose }) });
      if (typeof session !== 'string') throw new Error(`${name} got no session`);
      return session;
    },
    // The strict schema: a field that the protocol does not name would be a fault.
    call: async (session, tool, args, more = {}) =>
      callReply.parse(await ask('call', { v: 1, session, tool, arguments: args, ...more })),
  };
};

export interface Operator {
  ask(verb: string, body: object | string): Promise<Record<string, unknown>>;
  kill(scope: Scope, more?: object): Promise<KillReceipt>;
  lift(scope: Scope): Promise<z.infer<typeof liftAnswer>>;
  kills(): Promise<z.infer<typeof killsAnswer>>;
}

export const openOperator = async (stack: Stack): Promise<Operator> => {
  const bus = await stack.connect('operator');
  const ask: Operator['ask'] = async (verb, body) => {
    const text = typeof body === 'string' ? body : JSON.stringify({ v: 1, ...body });
    return decode(await bus.requestRaw(`ops.operator.${verb}`, text, { of: 'kill-switch', timeoutMs: patienceMs }));
  };
  return {
    ask,
    kill: async (scope, more = {}) => killReceipt.parse(await ask('kill', { scope, reason: 'a test kills', ...more })),
    lift: async (scope) => liftAnswer.parse(await ask('lift', { scope, reason: 'a test lifts' })),
    kills: async () => killsAnswer.parse(await ask('kills', {})),
  };
};

/** The text of a reply's result. */
export const textOf = (reply: CallReply): string | undefined => {
  const result = reply.result as { content?: { text?: string }[] } | undefined;
  return result?.content?.[0]?.text;
};
