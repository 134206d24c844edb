import { z } from 'zod';
import { code, status } from './codes.ts';
import { request } from './contract.ts';
import { approvalId, callId, eventId, json, limits, name, sessionId, timestamp, toolName } from './names.ts';

// What an agent says and hears (PROTOCOL.md, "Agents"). In CORE the subject is gate.v1.<tenant account>.<agent>.<verb>;
// the account token and the agent's token are enforced by NATS, so ingress takes both from there and from nowhere else.

const v = z.literal(1);
const key = z.string().min(1).max(limits.keyLength);

export const sessionAsk = z.strictObject({
  v,
  purpose: z.string().max(limits.purposeLength).optional(),
  /** A JWT of the person that the agent acts for, by an issuer that `subject_tokens` of the configuration names. */
  subject_token: z.string().min(1).max(limits.subjectTokenLength).optional(),
});
export const sessionAnswer = z.strictObject({ v, session: sessionId, expires_at: timestamp });

export const toolsAsk = z.strictObject({ v, session: sessionId.optional() });
export const toolListing = z.strictObject({
  name: toolName,
  description: z.string(),
  input_schema: json,
  annotations: json,
});
export type ToolListing = z.infer<typeof toolListing>;
export const toolsAnswer = z.strictObject({ v, tools: z.array(toolListing) });

export const callAsk = z.strictObject({
  v,
  session: sessionId,
  tool: toolName,
  arguments: json,
  key: key.optional(),
  approval: approvalId.optional(),
  timeout_ms: z.int().min(1).max(limits.callTimeoutMaxMs).optional(),
});
export type CallAsk = z.infer<typeof callAsk>;

export const callReply = z.strictObject({
  v,
  call: callId.optional(),
  status,
  code,
  reason: z.string().max(2048),
  rule: z.string().max(256).optional(),
  result: z.unknown().optional(),
  approval: z.strictObject({ id: approvalId, expires_at: timestamp }).optional(),
  retry_after_ms: z.int().min(0).optional(),
  evidence: z.strictObject({ decided: eventId.optional(), completed: eventId.optional() }).optional(),
});
export type CallReply = z.infer<typeof callReply>;

/** No union: whoever gives both, or neither, hears that it is one of the two, and not that a field is unknown or missing. */
export const cancelAsk = z
  .strictObject({ v, call: callId.optional(), key: key.optional() })
  .refine((ask) => (ask.call === undefined) !== (ask.key === undefined), 'needs exactly one of call and key')
  .meta({ oneOf: [{ required: ['call'] }, { required: ['key'] }] });
export type CancelAsk = z.infer<typeof cancelAsk>;
export const fate = z.enum(['aborted', 'completed', 'unknown']);
export type Fate = z.infer<typeof fate>;
export const cancelAnswer = z.strictObject({ v, status: z.enum(['aborted', 'completed', 'unknown', 'not_found']) });

/** A refusal in place of an answer on `session`, `tools` and `cancel`. */
export const refusal = z.strictObject({
  v,
  status,
  code,
  reason: z.string().max(2048),
  retry_after_ms: z.int().min(0).optional(),
});
export type Refusal = z.infer<typeof refusal>;

const verb = <A, B>(word: string, ask: z.ZodType<A>, answer: z.ZodType<B>, timeoutMs: number) =>
  request(`gate.v1.*.*.${word}`, { ask, answer, by: ['agent'], of: 'ingress', timeoutMs });

export const agentVerbs = {
  session: verb('session', sessionAsk, z.union([sessionAnswer, refusal]), 5_000),
  tools: verb('tools', toolsAsk, z.union([toolsAnswer, refusal]), 5_000),
  call: verb('call', callAsk, callReply, 60_000),
  cancel: verb('cancel', cancelAsk, z.union([cancelAnswer, refusal]), 5_000),
};
export type AgentVerb = keyof typeof agentVerbs;

/** What the agent publishes to in its own account. */
export const agentSubject = (agent: string, word: AgentVerb): string => `agent.${name.parse(agent)}.${word}`;
/** Tenant account and agent of a subject of `agentVerbs`, as NATS enforced them. */
export const identityOf = (subject: string): { account: string; agent: string } => {
  const [, , account = '', agent = ''] = subject.split('.');
  return { account, agent };
};
