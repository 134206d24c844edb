import { z } from 'zod';

/** `status.json`: where a running stack is (PROTOCOL.md, "Where everything is"). */
export const stackStatus = z.strictObject({
  v: z.literal(1),
  ready: z.literal(true),
  pid: z.int(),
  started_at: z.string(),
  nats: z.string(),
  websocket: z.string(),
  /** Stacks of before the MCP edge have none; who stops one must be able to read where it is. */
  mcp: z.string().optional(),
  metrics: z.record(z.string(), z.string()),
  creds: z.string(),
  config: z.string(),
  log: z.strictObject({ origin: z.string(), dir: z.string(), vkey: z.string() }),
  witness: z.strictObject({ url: z.string(), vkey: z.string() }).optional(),
});
export type StackStatus = z.infer<typeof stackStatus>;
