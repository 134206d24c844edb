import { connect } from '@agentgate/client';
import { readBearer } from '@agentgate/ground/bearer';
import {
  createCounter,
  createGauge,
  type Running,
  readTenants,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { env, readMcpConfig } from './config.ts';
import { createConnections } from './connections.ts';
import { createMcpHttp, mcpPath } from './http.ts';
import { createMcpEdge } from './service.ts';

const maxConnections = 1_024;
/** Longer than the longest call may take. */
const idleMs = 15 * 60_000;
const refusedMs = 2_000;
const sweepMs = 30_000;
/** Ingress and the runner end calls before this ends. */
const lastAnswersMs = 2_500;

const start = async ({ config, version, metrics, log, now }: ServiceContext): Promise<Running> => {
  const { tenantsFile, port, hostnames, callTimeoutMs } = readMcpConfig(config, env);
  const tenants = readTenants(tenantsFile);
  const connections = createConnections({
    userOf: (token) => {
      const bearer = readBearer(token, now);
      return bearer && tenants.has(bearer.account) ? bearer.user : undefined;
    },
    connect: (token) => connect({ servers: config.AGENTGATE_NATS_URL, creds: token }),
    monotonic: () => performance.now(),
    max: maxConnections,
    idleMs,
    refusedMs,
  });
  const edge = createMcpEdge({ now, callTimeoutMs });
  const countAnswer = createCounter(metrics, {
    name: 'agentgate_mcp_answers_total',
    help: 'HTTP answers to MCP clients, by status.',
    labelNames: ['status'],
  });
  createGauge(metrics, 'agentgate_mcp_connections', 'Agents that are connected here.', () => connections.size);
  createGauge(metrics, 'agentgate_mcp_sessions', 'Sessions of the gate that are open here.', () => edge.sessions);
  const mcp = createMcpHttp({
    edge,
    connect: connections.of,
    hostnames,
    version,
    onAnswer: (status) => countAnswer(String(status)),
    onError: (err) => log.warn({ err }, 'an MCP request could not be served'),
  });
  const host = config.AGENTGATE_HTTP_HOST;
  const listening = await mcp.listen(host, port);
  log.info({ host, port: listening, path: mcpPath }, 'agents are served over MCP');
  const sweeping = setInterval(() => {
    connections.sweep();
    edge.sweep();
  }, sweepMs);
  return {
    close: async () => {
      clearInterval(sweeping);
      await mcp.close(lastAnswersMs);
      await connections.close();
    },
  };
};

if (import.meta.main) await runService({ service: 'mcp-edge', env, start });
