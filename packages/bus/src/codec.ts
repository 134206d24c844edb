import {
  AgentGateError,
  type Code,
  failureAnswer,
  parseField,
  parseStrict,
  toAgentGateError,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { Log } from './log.ts';

/** Bytes of one message between services; nats-server's max_payload is above it. */
export const maxMessageBytes = 7 * 1024 * 1024;
const decoder = new TextDecoder();

const partCodes: Record<string, Code> = {
  policy: 'POLICY_UNAVAILABLE',
  'kill-switch': 'KILL_SWITCH_UNAVAILABLE',
  'tool-runner': 'RUNNER_UNAVAILABLE',
  'credential-broker': 'BROKER_UNAVAILABLE',
  // A person could not be asked: policy cannot say yes.
  approvals: 'POLICY_UNAVAILABLE',
  audit: 'EVIDENCE_UNAVAILABLE',
  upstream: 'UPSTREAM_UNAVAILABLE',
};
/** The failure of a part that is silent, late or not in form. */
export const unavailable = (of: string | readonly string[], why: string, cause?: unknown): AgentGateError => {
  const part = typeof of === 'string' ? of : (of[0] ?? 'service');
  return new AgentGateError(partCodes[part] ?? 'INTERNAL', `${part} ${why}`, { cause });
};

/** An internal message; its sender is a service that NATS knows, so only form and size are checked, by the contract's schema. */
export const decode = (data: Uint8Array): unknown => {
  if (data.byteLength > maxMessageBytes) throw new AgentGateError('MALFORMED', 'body: too large');
  try {
    return JSON.parse(decoder.decode(data));
  } catch (cause) {
    throw new AgentGateError('MALFORMED', 'body: not JSON', { cause });
  }
};

/** A message of somebody outside: with every bound of PROTOCOL.md. */
export const decodeOutside = (data: Uint8Array): Record<string, unknown> => parseStrict(data);

/** An answer of a service, or the failure that it reported, or its malformed answer as that part's failure. */
export const openAnswer = <T>(of: string | readonly string[], schema: z.ZodType<T>, data: Uint8Array): T => {
  let body: unknown;
  try {
    body = decode(data);
  } catch (cause) {
    throw unavailable(of, 'answered something that is no JSON', cause);
  }
  const failed = failureAnswer.safeParse(body);
  if (failed.success) throw new AgentGateError(failed.data.error.code, failed.data.error.reason);
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw unavailable(of, 'gave a malformed answer', parsed.error);
  return parsed.data;
};

/** What may be told of a failure: its code and message if it is ours, else nothing but that there was one. */
export const tellFailure = (error: unknown, log: Log, where: string): { code: Code; reason: string } => {
  const known = toAgentGateError(error);
  if (known.code === 'INTERNAL') log.error({ err: error, where }, 'a handler failed');
  return { code: known.code, reason: known.message.slice(0, 2048) };
};

export const openAsk = <T>(schema: z.ZodType<T>, data: Uint8Array): T => parseField(schema, decode(data));
