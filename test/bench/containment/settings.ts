import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type PolicySettings, packs, parseConfig, type ToolProfile } from '@agentgate/contracts';
import { parse } from 'yaml';
import type { Suites } from './data.ts';
import { configuredLabels, readsOnly } from './harm.ts';

/** What a configuration says of the tools. Its servers and grants are not used: the replay has its own. */
export interface Settings {
  tools: ToolProfile[];
  policy: PolicySettings;
}

/** Reads a file in the form of agentgate.yaml. One that names no packs gets all of them. */
export const readSettings = (path: string): Settings => {
  const file = resolve(path);
  const source = readFileSync(file, 'utf8');
  const { tools, policy } = parseConfig(source, file);
  const written = parse(source) as { policy?: { packs?: unknown } };
  return { tools, policy: written.policy?.packs === undefined ? { ...policy, packs: [...packs] } : policy };
};

export const controls = ['allow_all', 'deny_all', 'read_only'] as const;
export type Control = (typeof controls)[number];

/** A gate's configuration without its agents, who are added once it runs, and who they are to be. */
export interface GateConfig {
  text: string;
  agents: { name: string; labels: string[] }[];
}
/** The agents of a group, by name. */
export const namesOf = (config: GateConfig, label: string): string[] =>
  config.agents.filter((agent) => agent.labels.includes(label)).map((agent) => agent.name);

const maxToolsAGrant = 256;
const chunks = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / maxToolsAGrant) }, (_, i) =>
    items.slice(i * maxToolsAGrant, (i + 1) * maxToolsAGrant),
  );

const gateConfig = (
  suites: Suites,
  settings: Settings,
  groups: Record<string, { size: number; tools: readonly string[] }>,
): GateConfig => {
  const agents = Object.entries(groups).flatMap(([label, { size }]) =>
    Array.from({ length: size }, (_, i) => ({ name: `${label}-${i}`, labels: [label] })),
  );
  const grants = Object.entries(groups).flatMap(([label, { tools }]) =>
    chunks(tools).map((some, i) => ({ id: `${label}-${i}`, to: { labels: [label] }, tools: some, effect: 'allow' })),
  );
  const servers = Object.fromEntries(
    Object.keys(suites).map((suite) => [suite, { nats: { subject: `tool.v1.${suite}` } }]),
  );
  // JSON is YAML.
  return { text: JSON.stringify({ v: 1, tenants: { default: {} }, servers, grants, ...settings }), agents };
};

const everything = (suites: Suites) => Object.keys(suites).map((suite) => `${suite}/*`);

/** The gate that is measured: every tool granted by pattern, so that nothing but the packs holds a call back. */
export const gateUnderTest = (suites: Suites, settings: Settings, size: number): GateConfig =>
  gateConfig(suites, settings, { gate: { size, tools: everything(suites) } });

/** The same calls under grants alone. Nothing of an agent is remembered here, so each serves many replays. */
export const gateOfControls = (suites: Suites, settings: Settings, size: number): GateConfig => {
  const reads = Object.entries(suites).flatMap(([suite, { tools }]) =>
    tools
      .filter((tool) => readsOnly(tool.name, configuredLabels(settings.tools, `${suite}/${tool.name}`)))
      .map((tool) => `${suite}/${tool.name}`),
  );
  return gateConfig(
    suites,
    { tools: settings.tools, policy: { packs: ['baseline'], egress: { deny: [] }, secrets: {}, rate_limits: [] } },
    {
      allow_all: { size, tools: everything(suites) },
      deny_all: { size, tools: [] },
      read_only: { size, tools: reads },
    },
  );
};
