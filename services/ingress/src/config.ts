import { readFileSync } from 'node:fs';
import { type Config, name, parseConfig } from '@agentgate/contracts';
import { type BaseConfig, required, StartError } from '@agentgate/runtime';
import { z } from 'zod';

const tenants = z.strictObject({
  v: z.literal(1),
  tenants: z.array(z.strictObject({ tenant: name, account: z.string().regex(/^A[A-Z2-7]{55}$/) })),
});

export interface IngressConfig {
  limits: Config['limits'];
  redisUrlFile: string;
  /** Tenant of each NATS account, by the account's public key. */
  tenantOf: Map<string, string>;
}

/** What ingress reads beside the base: agentgate.yaml's limits, and AGENTGATE_TENANTS, the file that names the tenant of each account. */
export const readConfig = (base: BaseConfig, env: Record<string, string | undefined>): IngressConfig => {
  const configFile = required(base.AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  const tenantsFile = required(env.AGENTGATE_TENANTS, 'AGENTGATE_TENANTS');
  const parsed = tenants.safeParse(JSON.parse(readFileSync(tenantsFile, 'utf8')));
  if (!parsed.success) throw new StartError(`${tenantsFile}: ${parsed.error.issues[0]?.message ?? 'invalid'}`);
  return {
    limits: parseConfig(readFileSync(configFile, 'utf8'), configFile).limits,
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
    tenantOf: new Map(parsed.data.tenants.map((t) => [t.account, t.tenant])),
  };
};

export const env: Record<string, string | undefined> = process.env;
