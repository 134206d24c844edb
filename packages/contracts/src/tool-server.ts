import { z } from 'zod';
import { callId, epochMs, json } from './names.ts';

// What the runner says to a tool server on NATS (account TOOLS) under the subject of its configuration, `tool.v1.<server>`:
// `<subject>.call` (a batch with late answers), `<subject>.list`, `<subject>.cancel`.

const v = z.literal(1);
export const toolCallAsk = z.strictObject({
  call: callId,
  tool: z.string().max(128),
  arguments: json,
  deadline: epochMs,
  /** The credential that the configuration injects, where it injects one: `{ name: secret }`. */
  credential: z.record(z.string(), z.string()).optional(),
});
export type ToolCallAsk = z.infer<typeof toolCallAsk>;
/** `cancelled` confirms that the call stopped and will not act any more. */
export const toolCallAnswer = z.strictObject({
  status: z.enum(['ok', 'tool_error', 'cancelled']),
  result: z.unknown(),
});
export type ToolCallAnswer = z.infer<typeof toolCallAnswer>;
export const toolListAsk = z.strictObject({ v });
export const toolListAnswer = z.strictObject({
  v,
  tools: z
    .array(
      z.strictObject({
        name: z.string().max(128),
        description: z.string().max(16_384),
        input_schema: json,
        annotations: json.optional(),
      }),
    )
    .max(4096),
});
/** Said, not asked: a call's own answer confirms that it stopped. */
export const toolCancel = z.strictObject({ v, calls: z.array(callId).min(1).max(256) });

export const toolSubject = (server: string): string => `tool.v1.${server}`;
