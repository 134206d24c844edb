import { takesAsIs } from '@agentgate/contracts';
import { canonicalBytes } from '@agentgate/evidence';
import { z } from 'zod';
import { redactResult } from './redact-result.ts';
import { redact } from './redaction.ts';

const form = {
  content: z.array(z.record(z.string(), z.unknown())).max(10_000),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
};
/** An MCP tool result; what else a server puts beside these fields is its own affair and stays here. */
const toolResult = z.object({ ...form, content: form.content.default([]) });
/** Of what puts nothing beside them and leaves nothing out, nothing has to be taken. */
const isBare = takesAsIs(z.strictObject(form));
export type ToolResult = z.infer<typeof toolResult>;

/** What an agent may see of an upstream's answer. */
export interface Shaped {
  outcome: 'ok' | 'tool_error';
  reason: string;
  result?: ToolResult;
  redacted: string[];
}

const spoilt = (reason: string, redacted: string[] = []): Shaped => ({ outcome: 'tool_error', reason, redacted });

/** Brings an upstream's result into form: bounded, without the call's secrets and what policy hides, and such that evidence can take its digest. */
export const shapeResult = (
  raw: unknown,
  { secrets, hidden, maxBytes }: { secrets: readonly string[]; hidden: readonly string[]; maxBytes: number },
): Shaped => {
  const result = isBare(raw) ? (raw as ToolResult) : toolResult.safeParse(raw).data;
  if (!result) return spoilt('the tool answered with something that is no MCP result');
  const clean = redact(result, secrets);
  let { value, redacted } = clean;
  try {
    const rest = redactResult(clean.value, hidden);
    value = rest.result;
    redacted = [...new Set([...redacted, ...rest.redacted])].slice(0, 64);
  } catch {
    return spoilt('the result cannot be redacted as policy wants it', redacted);
  }
  let bytes: number;
  try {
    bytes = canonicalBytes(value);
  } catch {
    return spoilt('the result is not JSON that has a canonical form', redacted);
  }
  if (bytes > maxBytes) return spoilt(`the result has ${bytes} bytes, at most ${maxBytes} are allowed`, redacted);
  return value.isError === true
    ? { outcome: 'tool_error', reason: 'the tool reports an error', result: value, redacted }
    : { outcome: 'ok', reason: 'the tool ran', result: value, redacted };
};
