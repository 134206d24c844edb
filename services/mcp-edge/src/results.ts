import type { CallReply, ToolListing } from '@agentgate/client';
import { type CallToolResult, type ContentBlock, isSpecType, type Tool } from '@modelcontextprotocol/server';
import { clientName, namesOf } from './tool-names.ts';

/** What a client is told beside a result, under this name in its `_meta`. */
export const replyKey = 'agentgate/reply';

const toTool = ({ name, description, input_schema, annotations }: ToolListing): Tool => ({
  name: clientName(name),
  description,
  // Arguments are an object, whatever a server's schema leaves unsaid.
  inputSchema: { ...input_schema, type: 'object' },
  ...(Object.keys(annotations).length > 0 && { annotations }),
  _meta: { 'agentgate/tool': name },
});

type Told = Pick<CallReply, 'call' | 'status' | 'code' | 'rule' | 'approval' | 'retry_after_ms' | 'evidence'>;

/** The SDK checks the form of the revisions before 2026-07-28; that one has a form for the schema's dialect, too. */
const isTool = (tool: Tool): boolean =>
  isSpecType.Tool(tool) && ['undefined', 'string'].includes(typeof tool.inputSchema.$schema);

/** What a client can take: one tool of another form would cost it the whole list, and two of one name what reads the list for it. */
export const toTools = (listed: readonly ToolListing[]): Tool[] => {
  const names = namesOf(listed.map(({ name }) => name));
  return listed.map(toTool).filter((tool) => names.get(tool.name)?.length === 1 && isTool(tool));
};

/** The gate's reply as MCP says it: the tool's own result, or an error that a model can read, with what became of the call in `_meta`. */
export const toResult = ({ v, reason, result, ...told }: CallReply): CallToolResult => {
  if (told.status === 'ok') return withReply(contentOf(result), told);
  // Without a result, the runner could not take what the tool gave, and says why.
  if (told.status === 'tool_error' && result !== undefined)
    return withReply({ ...contentOf(result), isError: true }, told);
  return withReply({ content: [{ type: 'text', text: refusal(told, reason) }], isError: true }, told);
};

const withReply = (result: CallToolResult, told: Told): CallToolResult => ({
  ...result,
  // Last: what stands there is the gate's word, and not the tool's.
  _meta: { ...result._meta, [replyKey]: told },
});

const refusal = ({ status, code, approval, retry_after_ms }: Told, reason: string): string => {
  const said = `${status} (${code}): ${reason}`;
  if (status === 'approval_required' && approval)
    return `${said}. Once a person has granted ${approval.id}, until ${approval.expires_at}, call it again with exactly these arguments.`;
  return retry_after_ms === undefined ? said : `${said}. Not before ${retry_after_ms} ms from now.`;
};

const textOf = (value: unknown): ContentBlock => ({ type: 'text', text: JSON.stringify(value ?? null) });

/**
 * A tool server on NATS may give anything that is JSON. What MCP has no form for goes as text: the SDK would say that the request was invalid, and a client
 * would take a call that ran for one that did not.
 */
const contentOf = (result: unknown): CallToolResult => {
  if (typeof result === 'object' && result !== null && 'content' in result && Array.isArray(result.content))
    return {
      ...result,
      content: result.content.map((piece) => (isSpecType.ContentBlock(piece) ? piece : textOf(piece))),
    };
  return { content: [textOf(result)] };
};
