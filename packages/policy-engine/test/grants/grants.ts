import { type Config, parseConfig } from '@agentgate/contracts';
import { type CompiledPolicy, compileGrants } from '../../src/grants/compile.ts';

/** A configuration as its file would be, for the grants that a test is about. */
const gateConfig = (grants: string, more = ''): Config =>
  parseConfig(
    `v: 1
tenants: { default: { agents: { demo: { labels: [dev] } } }, acme: { agents: { eve: {} } } }
servers:
  fs: { stdio: { command: ./fs } }
  crm: { http: { url: "http://127.0.0.1:1/mcp" }, credential: crm-key, inject: { header: Authorization } }
credentials: { crm-key: { provider: jwt, audience: crm, scope: read, ttl_s: 30 } }
grants:
${grants}
${more}`,
    '/etc/agentgate/agentgate.yaml',
  );

export const compile = (grants: string): CompiledPolicy => compileGrants(gateConfig(grants));
