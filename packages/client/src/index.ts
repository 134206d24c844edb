export type { CallReply, ToolListing } from '@agentgate/contracts';
export {
  type AgentClient,
  type CallOptions,
  type CancelStatus,
  connect,
  type Session,
} from './agent.ts';
export type { ConnectOptions } from './connection.ts';
export { AgentGateClientError, type ClientErrorCode } from './error.ts';
export {
  type ServeToolsOptions,
  serveTools,
  type Tool,
  type ToolContext,
  type ToolResult,
  type ToolServer,
} from './tool-server.ts';
