import { readFileSync } from 'node:fs';
import { type Config, parseConfig, type ToolFlagKind } from '@agentgate/contracts';
import { type Revision, revisionOfConfig } from '../../src/bundle/revision.ts';
import { type Instance, startInstance } from '../../src/instance.ts';
import { nothingRemembered, type TrialWorld } from '../../src/trial/trial.ts';

const wasm = new Uint8Array(
  readFileSync(new URL('../../../../policies/bundle/policy.wasm', import.meta.url)),
) as Uint8Array<ArrayBuffer>;

export const configOf = (grants: string, more = ''): Config =>
  parseConfig(
    `v: 1
tenants: { default: { agents: { demo: { labels: [dev] }, ops: { labels: [] } } }, acme: { agents: { eve: {} } } }
servers: { fs: { stdio: { command: ./fs } }, crm: { http: { url: "http://127.0.0.1:1/mcp" } } }
grants:
${grants}
${more}`,
    '/etc/agentgate/agentgate.yaml',
  );
export const revisionOf = (grants: string, more = ''): Revision => revisionOfConfig(configOf(grants, more), wasm);
const log = { warn: () => {}, error: () => {} };
export const start = (grants: string, more = ''): Promise<Instance> =>
  startInstance({
    revision: revisionOf(grants, more),
    secrets: [],
    memory: nothingRemembered,
    log,
    spare: false,
  });

const labels: Record<string, string[]> = { 'default/demo': ['dev'], 'default/ops': [], 'acme/eve': [] };
export const worldWith = (more: Partial<TrialWorld> = {}): TrialWorld => ({
  hasSecrets: true,
  labelsOf: (tenant, agent) => labels[`${tenant}/${agent}`],
  toolOf: () => undefined,
  ...more,
});
export const describedTool = (name: string, description: string) => ({
  tool: {
    v: 1 as const,
    name,
    description,
    input_schema: {},
    annotations: {},
    schema_digest: '0'.repeat(64),
    seen_at: '',
  },
  flags: [] as ToolFlagKind[],
});
