import type { Config } from '@agentgate/contracts';
import { type BaseConfig, type Environment, readGateConfig, readTenants, required } from '@agentgate/runtime';

export interface IngressConfig {
  limits: Config['limits'];
  redisUrlFile: string;
  /** Tenant of each NATS account, by the account's public key. */
  tenantOf: Map<string, string>;
}

/** What ingress reads beside the base: agentgate.yaml's limits, and AGENTGATE_TENANTS, the file that names the tenant of each account. */
export const readConfig = (base: BaseConfig, env: Environment): IngressConfig => ({
  limits: readGateConfig(base).limits,
  redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
  tenantOf: readTenants(required(env.AGENTGATE_TENANTS, 'AGENTGATE_TENANTS')),
});

export const env: Environment = process.env;
