import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type CatalogTool, type Config, parseConfig, type ToolFlagKind } from '@agentgate/contracts';
import { readRoster } from '@agentgate/ground';
import {
  type AgentIdentity,
  compiledPolicy,
  type Instance,
  nothingRemembered,
  type Revision,
  revisionOfConfig,
  startInstance,
  type TrialWorld,
  unenforceable,
} from '@agentgate/policy-engine';
import { type CliContext, CliError } from '../context.ts';
import { readStatus, statusFile } from '../stack.ts';
import { askAs } from './ask.ts';
import { openForTest } from './bundle-file.ts';

// What a policy is tried with outside of the gate: a bundle or a configuration, and who and what there is to be decided about.

export interface PolicySource {
  /** A .tar.gz; without it, what the configuration says. */
  bundle?: string | undefined;
  config?: string | undefined;
}

export const isRunning = (ctx: CliContext): boolean => existsSync(statusFile(ctx.home));

export const configFile = (ctx: CliContext, given: string | undefined): string => {
  if (given !== undefined) return resolve(given);
  return isRunning(ctx) ? readStatus(ctx.home).config : join(ctx.root, 'agentgate.yaml');
};

export const readText = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new CliError(`${file}: cannot be read`);
  }
};

/** Throws ConfigError with file, line and key. */
export const readConfig = (file: string): Config => parseConfig(readText(file), file, unenforceable);

export const revisionOf = async (ctx: CliContext, { bundle }: PolicySource, config: Config): Promise<Revision> => {
  if (bundle !== undefined) return openForTest(ctx, bundle);
  const wasm = join(ctx.root, 'policies', 'bundle', 'policy.wasm');
  try {
    return revisionOfConfig(config, new Uint8Array(readFileSync(wasm)));
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') throw new CliError(`${wasm}: cannot be read`);
    throw error;
  }
};

const quiet = { warn: () => {}, error: () => {} };
/** Loads it as the gate would. A worker is lost and replaced as there: a policy that hangs costs its own calls an answer. */
export const startTrial = (revision: Revision): Promise<Instance> =>
  startInstance({ revision, secrets: [], memory: nothingRemembered, log: quiet, spare: true });

export const compiledOf = async (revision: Revision) => ({
  policy: compiledPolicy(revision),
  module: await WebAssembly.compile(revision.wasm),
});

/** Agents of the configuration, and those that a command added to the stack of this home. */
export const knownAgents = (ctx: CliContext, config: Config): AgentIdentity[] => {
  const agents = new Map<string, AgentIdentity>();
  const add = (agent: AgentIdentity) => agents.set(`${agent.tenant}/${agent.name}`, agent);
  for (const [tenant, { agents: named }] of Object.entries(config.tenants))
    for (const [name, { labels }] of Object.entries(named)) add({ tenant, name, labels });
  for (const { tenant, name, labels } of readRoster(ctx.home).agents)
    if (!agents.has(`${tenant}/${name}`)) add({ tenant, name, labels });
  return [...agents.values()];
};

/** The running stack's tools by name; undefined where none runs. */
export const liveTools = async (ctx: CliContext): Promise<string[] | undefined> => {
  if (!isRunning(ctx)) return undefined;
  const { tools } = await askAs(ctx, 'operator', 'tools', { v: 1 });
  return tools.filter(({ listed }) => listed).map(({ tool }) => tool);
};

/** What operators accepted of each tool, from the running stack; empty where none runs. */
const acceptedTools = async (ctx: CliContext) => {
  const found = new Map<string, { tool: CatalogTool; flags: ToolFlagKind[] }>();
  if (!isRunning(ctx)) return found;
  const { tools } = await askAs(ctx, 'operator', 'tools', { v: 1 });
  for (const { tool: name, accepted: schema_digest, flags, at } of tools) {
    if (schema_digest === undefined) continue;
    const { accepted } = await askAs(ctx, 'operator', 'tool', { v: 1, tool: name });
    if (!accepted) continue;
    const tool: CatalogTool = { v: 1, ...accepted, schema_digest, seen_at: at };
    found.set(name, { tool, flags: flags.map(({ kind }) => kind) });
  }
  return found;
};

const describing = ['provenance', 'destructive', 'egress'] as const;

export const trialWorld = async (ctx: CliContext, revision: Revision, config: Config): Promise<TrialWorld> => {
  const agents = new Map(knownAgents(ctx, config).map((one) => [`${one.tenant}/${one.name}`, [...one.labels]]));
  // Only some packs go by what a tool says of itself.
  const asks = describing.some((pack) => revision.data.policy.packs[pack]);
  const tools = asks ? await acceptedTools(ctx) : new Map<string, { tool: CatalogTool; flags: ToolFlagKind[] }>();
  return {
    hasSecrets: Object.keys(config.policy.secrets).length === 0,
    labelsOf: (tenant, agent) => agents.get(`${tenant}/${agent}`),
    toolOf: (tool) => tools.get(tool),
  };
};
