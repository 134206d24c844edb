import { AgentGateClientError } from '@agentgate/client';
import { type McpRequestContext, ProtocolError, ProtocolErrorCode, Server } from '@modelcontextprotocol/server';
import type { Cancellations } from './cancellations.ts';
import { toResult, toTools } from './results.ts';
import { type Caller, type McpEdge, NoSuchTool } from './service.ts';

/** Models read it before they see the tools. */
const instructions =
  'Each call is decided by policy and recorded. A call that is refused says why, and did not run: do not try another way around it. ' +
  'Where a call needs approval, a person is asked; call it again with exactly the same arguments once they have granted it.';

export interface McpServerOptions {
  edge: McpEdge;
  cancellations: Cancellations;
  version: string;
}

/** An agent, and how its client says who it is. */
export interface McpCaller extends Caller {
  /** Of the revisions that have such sessions. */
  mcpSession: string | undefined;
}

/** Serves one HTTP request. What an agent may do, and who it is, is in its `caller`. */
export const createMcpServer = ({ edge, cancellations, version }: McpServerOptions, caller: McpCaller): Server => {
  const server = new Server(
    { name: 'agentgate', title: 'AgentGate', version },
    { capabilities: { tools: {} }, instructions },
  );
  server.setRequestHandler('tools/list', async () => {
    try {
      return { tools: toTools(await edge.tools(caller)) };
    } catch (error) {
      if (!(error instanceof AgentGateClientError)) throw error;
      throw new ProtocolError(ProtocolErrorCode.InternalError, `${error.code}: ${error.message}`, { code: error.code });
    }
  });
  server.setRequestHandler('tools/call', async ({ params }, { mcpReq }) => {
    const { user, mcpSession } = caller;
    const call = (signal: AbortSignal) => edge.call(caller, params.name, params.arguments ?? {}, signal);
    try {
      const reply =
        mcpSession === undefined
          ? await call(mcpReq.signal)
          : await cancellations.around({ user, mcpSession, id: mcpReq.id }, mcpReq.signal, call);
      return toResult(reply);
    } catch (error) {
      if (error instanceof NoSuchTool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, error.message);
      throw error;
    }
  });
  return server;
};

const extraKey = 'caller';
/** The SDK hands on who was authenticated in a field for it. */
export const withCaller = (caller: McpCaller): { [extraKey]: McpCaller } => ({ [extraKey]: caller });
export const callerIn = ({ authInfo }: Pick<McpRequestContext, 'authInfo'>): McpCaller => {
  const caller = authInfo?.extra?.[extraKey];
  if (caller === undefined) throw new Error('a request came through that nobody authenticated');
  return caller as McpCaller;
};
