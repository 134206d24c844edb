import type { Scope } from '@agentgate/contracts';
import { type BaseConfig, type Environment, readGateConfig, readTenants, required } from '@agentgate/runtime';

export interface KillSwitchConfig {
  /** The file that holds the URL of Redis, where the view is. */
  redisUrlFile: string;
  /** Kinds of scopes whose kills two operators have to lift. */
  dualControl: ReadonlySet<Scope['kind']>;
  /** The NATS account of each tenant. */
  accountOf: ReadonlyMap<string, string>;
}

export const readConfig = (base: BaseConfig, env: Environment): KillSwitchConfig => {
  return {
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
    dualControl: new Set(readGateConfig(base).dual_control.filter((kind) => kind !== 'policy' && kind !== 'exception')),
    accountOf: new Map(
      [...readTenants(required(env.AGENTGATE_TENANTS, 'AGENTGATE_TENANTS'))].map(([account, tenant]) => [
        tenant,
        account,
      ]),
    ),
  };
};

export const env: Environment = process.env;
