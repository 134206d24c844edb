export type { CallReply, ToolListing } from '@agentgate/contracts';
export {
  type AgentClient,
  type CallOptions,
  type CancelStatus,
  type ConnectOptions,
  connect,
  type Session,
} from './agent.ts';
export { AgentGateClientError, type ClientErrorCode } from './error.ts';
export {
  type ServeToolsOptions,
  serveTools,
  type Tool,
  type ToolContext,
  type ToolResult,
  type ToolServer,
} from './tool-server.ts';
