import { type Config, ConfigError, type Grant, limits, type PolicySettings, scopeOf } from '@agentgate/contracts';
import { at, UnsafeCondition } from '../conditions/verdict.ts';
import { prepareWhere, type Where } from '../conditions/where.ts';
import {
  type CredentialOf,
  type GrantEntry,
  type GrantsOf,
  type Part,
  type PatternEntry,
  type PolicyData,
  splitTool,
} from './policy-data.ts';

/** What the engine works with: plain data, so that it can be handed to a worker. */
export interface CompiledPolicy {
  data: PolicyData;
  /** The conditions of the grant of that number, in the file's order. */
  wheres: Map<number, Where>;
  /** What a call's arguments may be at most. */
  bounds: { depth: number; keysPerObject: number };
}

/** More grants under one key, and one call would have to weigh them all. */
export const maxGrantsPerKey = 50;
/** A grant stands once for each agent (or label, or tenant) and tool that it names. */
export const maxEntries = 100_000;

const defaultTenant = 'default';

/** The keys under which a grant stands: agents are names within a tenant, labels are the operator's words for agents of any. */
const whomOf = ({ agents, labels, tenants }: Grant['to']): string[] => {
  if (agents)
    return (tenants ?? [defaultTenant]).flatMap((tenant) => agents.map((agent) => `agent:${tenant}/${agent}`));
  if (labels) return (tenants ?? ['*']).flatMap((tenant) => labels.map((label) => `label:${tenant}/${label}`));
  return (tenants ?? []).map((tenant) => `tenant:${tenant}`);
};

const partOf = (part: string, tool: string): Part | undefined => {
  const [before = '', after, ...more] = part.split('*');
  if (more.length > 0) throw new UnsafeCondition(`${tool}: only one * may stand on each side of the slash`);
  if (after === undefined) return [part];
  return part === '*' ? undefined : [before, after];
};

type Place =
  | { kind: 'exact'; tool: string }
  | { kind: 'server'; server: string; entry: PatternEntry }
  | { kind: 'any'; entry: PatternEntry };

const placeOf = (tool: string, grant: number): Place => {
  if (!tool.includes('*')) return { kind: 'exact', tool };
  const parts = splitTool(tool);
  const name = partOf(parts.name, tool);
  const server = partOf(parts.server, tool);
  if (!parts.server.includes('*'))
    return { kind: 'server', server: parts.server, entry: { grant, ...(name && { name }) } };
  return { kind: 'any', entry: { grant, ...(server && { server }), ...(name && { name }) } };
};

const push = <T>(lists: Record<string, T[]>, key: string, entry: T): T[] => {
  // Servers may be named like what every object inherits.
  const list = Object.hasOwn(lists, key) ? (lists[key] ?? []) : [];
  lists[key] = list;
  list.push(entry);
  return list;
};

const entryOf = ({ id, effect, where, to, approvers }: Grant): GrantEntry => ({
  id,
  effect,
  conditional: where !== undefined && Object.keys(where).length > 0,
  ...(to.agents && to.labels && { labels: to.labels }),
  ...(approvers && { approvers }),
});

/** The credentials that servers name under this key, and what they give at most. */
const credentialsOf = (
  key: 'credential' | 'list_with',
  { servers, credentials }: Pick<Config, 'servers' | 'credentials'>,
): Record<string, CredentialOf> => {
  const found: Record<string, CredentialOf> = {};
  for (const [server, { [key]: name }] of Object.entries(servers)) {
    if (name === undefined) continue;
    const credential = credentials[name];
    if (!credential) throw new ConfigError(`servers: ${server}: no credential is named ${name}`);
    const scope = scopeOf(credential);
    const ttl_s = 'ttl_s' in credential ? credential.ttl_s : undefined;
    found[server] = { name, ...(scope !== undefined && { scope }), ...(ttl_s !== undefined && { ttl_s }) };
  }
  return found;
};

/**
 * The grants of a configuration as an index, so that a decision looks at the few grants of one agent and one tool.
 * Throws ConfigError naming the grant and the field for one that could not be enforced safely.
 */
export const compileGrants = (
  config: Pick<Config, 'grants' | 'servers' | 'credentials'> & { policy?: Pick<PolicySettings, 'packs' | 'egress'> },
): CompiledPolicy => {
  const list: GrantEntry[] = [];
  const index = new Map<string, GrantsOf>();
  const wheres = new Map<number, Where>();
  let entries = 0;
  const place = (number: number, tool: string, whom: string) => {
    const grants = index.get(whom) ?? { exact: {}, server: {}, any: [] };
    index.set(whom, grants);
    const found = at(
      'tools',
      () => placeOf(tool, number),
      (why) => `tools: ${why}`,
    );
    const there =
      found.kind === 'exact'
        ? push(grants.exact, found.tool, number)
        : found.kind === 'server'
          ? push(grants.server, found.server, found.entry)
          : push({ any: grants.any }, 'any', found.entry);
    if (there.length > maxGrantsPerKey)
      throw new UnsafeCondition(`more than ${maxGrantsPerKey} grants name ${whom} and ${tool}`);
    if (++entries > maxEntries)
      throw new UnsafeCondition(`agents × tools of all grants are more than ${maxEntries}; use labels and patterns`);
  };
  const take = (grant: Grant) => {
    const { where, to, tools } = grant;
    const number = list.push(entryOf(grant)) - 1;
    if (where) at('where', () => prepareWhere(where));
    for (const whom of new Set(whomOf(to))) for (const tool of new Set(tools)) place(number, tool, whom);
    if (list[number]?.conditional && where) wheres.set(number, where);
  };
  const takeAll = () => {
    for (const [i, grant] of config.grants.entries())
      at(
        String(i),
        () => take(grant),
        (why) => `${grant.id}: ${why}`,
      );
  };
  try {
    at('grants', takeAll, (why) => `grants: ${why}`);
  } catch (cause) {
    if (cause instanceof UnsafeCondition) throw new ConfigError(cause.message, { cause });
    throw cause;
  }
  const { depth, keysPerObject } = limits;
  return {
    data: {
      grants: { list, whom: Object.fromEntries(index) },
      credentials: credentialsOf('credential', config),
      listings: credentialsOf('list_with', config),
      policy: {
        packs: Object.fromEntries((config.policy?.packs ?? []).map((pack) => [pack, true])),
        egress: { only_listed: config.policy?.egress.allow !== undefined },
      },
    },
    wheres,
    bounds: { depth, keysPerObject },
  };
};
