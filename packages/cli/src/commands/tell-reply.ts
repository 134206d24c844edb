import type { CallReply } from '@agentgate/contracts';
import type { CliContext } from '../context.ts';

/** The text parts of an MCP result, else its JSON. */
const textOf = (result: unknown): string => {
  const content = typeof result === 'object' && result !== null && 'content' in result ? result.content : undefined;
  if (!Array.isArray(content)) return result === undefined ? '' : JSON.stringify(result, null, 2);
  return content
    .map((part: unknown) =>
      typeof part === 'object' && part !== null && 'text' in part ? String(part.text) : JSON.stringify(part),
    )
    .join('\n');
};

const colorOf = (ctx: CliContext, status: CallReply['status']) => {
  if (status === 'ok') return ctx.paint.green;
  return status === 'approval_required' || status === 'rate_limited' ? ctx.paint.yellow : ctx.paint.red;
};

/** A reply for people: status and code, why, under which rule, and what the tool said. */
export const tellReply = (ctx: CliContext, reply: CallReply): string => {
  const head =
    `${ctx.paint.bold(colorOf(ctx, reply.status)(reply.status))} ${reply.status === 'ok' ? '' : reply.code}`.trimEnd();
  const why = reply.status === 'ok' ? [] : [`  ${reply.reason}`];
  const rule = reply.rule === undefined ? [] : [ctx.paint.dim(`  rule ${reply.rule}`)];
  const again =
    reply.retry_after_ms === undefined ? [] : [`  ask again in ${(reply.retry_after_ms / 1_000).toFixed(1)} s`];
  const evidence =
    Object.values(reply.evidence ?? {}).length === 0
      ? []
      : [ctx.paint.dim(`  evidence ${Object.values(reply.evidence ?? {}).join(' ')}`)];
  const text = textOf(reply.result);
  return [head, ...why, ...again, ...rule, ...evidence, ...(text === '' ? [] : ['', text])].join('\n');
};
