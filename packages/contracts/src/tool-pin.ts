import { z } from 'zod';
import { digest, json, timestamp, toolName } from './names.ts';

// A pin: which definition of a tool may be called. Its record is the value of key `toolKey(<tool>)` of KV bucket PINS.

const v = z.literal(1);

/** All that an agent is told of a tool. */
export const toolDefinition = z.strictObject({
  name: toolName,
  description: z.string().max(16_384),
  input_schema: json,
  annotations: json,
});
export type ToolDefinition = z.infer<typeof toolDefinition>;
/** A definition's digest is SHA-256 over `agentgate-tool-v1\n` and its canonical form (RFC 8785). */
export const toolDomain = 'agentgate-tool-v1';

/** What is odd about a definition. None of it is proof of anything; a person looks. */
export const toolFlag = z.discriminatedUnion('kind', [
  /** `at` is a JSON pointer into the definition; `found` names the code points. */
  z.strictObject({ kind: z.literal('hidden_characters'), at: z.string().max(512), found: z.string().max(256) }),
  /** To an eye its name is that of another tool: `delete_fi1e` and `delete_file`. */
  z.strictObject({ kind: z.literal('reads_the_same'), as: toolName }),
  /** Its name is one or two letters from another tool's. */
  z.strictObject({ kind: z.literal('similar_name'), as: toolName }),
]);
export type ToolFlag = z.infer<typeof toolFlag>;
export type ToolFlagKind = ToolFlag['kind'];
export const toolFlags = z.array(toolFlag).max(32);

/** Why a definition waits for a person. `not_the_pin`: agentgate.yaml names another digest. */
export const quarantineReason = z.enum(['changed', 'flagged', 'new', 'not_the_pin']);
export type QuarantineReason = z.infer<typeof quarantineReason>;

const seen = { schema_digest: digest, definition: toolDefinition, flags: toolFlags, at: timestamp };
export const toolPin = z.strictObject({
  v,
  tool: toolName,
  /** What may be called. `by` is an operator, `first use` or `agentgate.yaml`. */
  accepted: z.strictObject({ ...seen, by: z.string().max(128) }).optional(),
  /** What was seen since. While it is `waiting` nothing may be called, whatever the server lists meanwhile. */
  offered: z
    .strictObject({
      ...seen,
      why: quarantineReason,
      state: z.enum(['waiting', 'rejected']),
      /** Who rejected it. */
      by: z.string().max(128).optional(),
    })
    .optional(),
});
export type ToolPin = z.infer<typeof toolPin>;

/** `pinning` in agentgate.yaml. */
export const pinningSettings = z.strictObject({
  /** What waits for an operator when it is first seen, by what is odd about it; `new` is everything. The rest is trusted on first use. */
  quarantine: z
    .array(z.enum(['hidden_characters', 'reads_the_same', 'similar_name', 'new']))
    .max(4)
    .default(['hidden_characters', 'reads_the_same']),
  /** Tools of which exactly one definition may ever be called, by its digest. */
  pins: z.record(toolName, digest).default({}),
});
export type PinningSettings = z.infer<typeof pinningSettings>;
export const defaultPinning: PinningSettings = { quarantine: ['hidden_characters', 'reads_the_same'], pins: {} };
