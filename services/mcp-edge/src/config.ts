import { type BaseConfig, type Environment, readGateConfig, readVariables } from '@agentgate/runtime';
import { z } from 'zod';

const loopback = ['127.0.0.1', 'localhost', '[::1]'];
const hostname = /^(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])$/;

const variables = z.object({
  /** tenants.json: which NATS account is which tenant. */
  AGENTGATE_TENANTS: z.string().min(1).max(4096),
  AGENTGATE_MCP_PORT: z.coerce.number().int().min(0).max(65_535).default(8787),
  /** Names, beside loopback's, by which clients address it, with commas between: whoever calls it by another is refused. */
  AGENTGATE_MCP_HOSTNAMES: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter((word) => word !== ''))
    .pipe(z.array(z.string().regex(hostname, 'must be host names without ports, with commas between'))),
});

export interface McpConfig {
  tenantsFile: string;
  port: number;
  hostnames: readonly string[];
  /** The gate's own: agentgate.yaml's limit of a call. */
  callTimeoutMs: number;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable. */
export const readMcpConfig = (base: Pick<BaseConfig, 'AGENTGATE_CONFIG'>, env: Environment): McpConfig => {
  const told = readVariables(variables, env);
  return {
    tenantsFile: told.AGENTGATE_TENANTS,
    port: told.AGENTGATE_MCP_PORT,
    hostnames: [...loopback, ...told.AGENTGATE_MCP_HOSTNAMES],
    callTimeoutMs: readGateConfig(base).limits.call_timeout_ms,
  };
};
