import type { RevisionData } from '../bundle/revision-data.ts';
import { matchingGrants, mayCall } from '../grants/lookup.ts';
import { type AgentIdentity, type GrantEntry, type GrantsOf, type Part, splitTool } from '../grants/policy-data.ts';
import { contradictionIn, follows } from './conditions.ts';

// Grants that can never decide anything, and tools that nobody is let call: what an author would want to hear before anybody else does.

export interface CheckWorld {
  agents: readonly AgentIdentity[];
  servers: readonly string[];
  /** The live catalogue; without it, tools are known by the names that the policy names. */
  tools?: readonly string[] | undefined;
}

type FindingKind = 'no_agent' | 'no_server' | 'no_tool' | 'contradiction' | 'shadowed';
export interface Finding {
  grant: string;
  kind: FindingKind;
  why: string;
}
export interface Checked {
  findings: Finding[];
  /** Tools that no agent may call with any arguments. */
  unreached: string[];
  /** Where `unreached` was looked for. */
  tools: 'catalogue' | 'names';
}

/** Stands for whatever a star may stand for: no pattern names it, so only a star takes it. */
const anything = '\u2042';

interface Placed {
  key: string;
  server: Part | undefined;
  name: Part | undefined;
}

const textOf = (part: Part | undefined): string => (part ? part.join('*') : '*');
const sampleOf = (part: Part | undefined): string => textOf(part).replaceAll('*', anything);

const placesOf = (data: RevisionData): Map<number, Placed[]> => {
  const places = new Map<number, Placed[]>();
  const add = (grant: number, placed: Placed) => {
    const list = places.get(grant) ?? [];
    places.set(grant, list);
    list.push(placed);
  };
  const take = (key: string, { exact, server, any }: GrantsOf) => {
    for (const [tool, grants] of Object.entries(exact)) {
      const parts = splitTool(tool);
      for (const grant of grants) add(grant, { key, server: [parts.server], name: [parts.name] });
    }
    for (const [name, entries] of Object.entries(server))
      for (const entry of entries) add(entry.grant, { key, server: [name], name: entry.name });
    for (const entry of any) add(entry.grant, { key, server: entry.server, name: entry.name });
  };
  for (const [key, of] of Object.entries(data.grants.whom)) take(key, of);
  return places;
};

/** Checks a revision that could be loaded. */
export const checkPolicy = (data: RevisionData, world: CheckWorld): Checked => {
  const places = placesOf(data);
  const wheres = new Map(data.gate.wheres);
  const findings: Finding[] = [];
  const named = namedTools(data, places);
  const tools = world.tools ?? named;
  for (const [number, grant] of data.grants.list.entries()) {
    const where = wheres.get(number);
    const found = (kind: FindingKind, why: string) => findings.push({ grant: grant.id, kind, why });
    const mine = places.get(number) ?? [];
    const agents = world.agents.filter(
      (agent) => mine.some(({ key }) => isFor(key, agent)) && isLabelled(grant, agent),
    );
    if (agents.length === 0) found('no_agent', nobody(mine, grant, world.agents));
    const served = mine.filter(({ server }) => world.servers.some((name) => fits(server, name)));
    if (served.length === 0)
      found('no_server', `no server is named ${unique(mine.map(({ server }) => textOf(server)))}`);
    else if (world.tools && !world.tools.some((tool) => mine.some((place) => isTool(place, tool))))
      found(
        'no_tool',
        `no server lists ${unique(served.map(({ server, name }) => `${textOf(server)}/${textOf(name)}`))}`,
      );
    const contradiction = where && contradictionIn(where);
    if (contradiction) found('contradiction', `${contradiction.pointer}: ${contradiction.why}`);
    const deny =
      agents.length > 0 && denyOver({ data, wheres }, { number, grant, agents, samples: samplesOf(served, world) });
    if (deny) found('shadowed', `grant ${deny} denies every call that it is about`);
  }
  const unreached = tools.filter((tool) => !world.agents.some((agent) => mayCall(data, agent, tool)));
  return { findings, unreached: [...new Set(unreached)].sort(), tools: world.tools ? 'catalogue' : 'names' };
};

const unique = (texts: string[]): string => [...new Set(texts)].slice(0, 4).join(', ');

/** Every call that a grant may be about, told by one for each pattern. */
const samplesOf = (places: readonly Placed[], { servers }: CheckWorld): string[] => [
  ...new Set(
    places.flatMap(({ server, name }) =>
      servers.filter((each) => fits(server, each)).map((each) => `${each}/${sampleOf(name)}`),
    ),
  ),
];

/** The deny that covers all of it, if each of its agents and tools has one that holds whenever the grant does. */
const denyOver = (
  { data, wheres }: { data: RevisionData; wheres: Map<number, RevisionData['gate']['wheres'][number][1]> },
  of: { number: number; grant: GrantEntry; agents: AgentIdentity[]; samples: string[] },
): string | undefined => {
  if (of.grant.effect === 'deny' || of.samples.length === 0) return undefined;
  const own = wheres.get(of.number) ?? {};
  const found = new Set<string>();
  for (const agent of of.agents)
    for (const tool of of.samples) {
      const deny = matchingGrants(data, agent, tool).find((n) => {
        const other = data.grants.list[n];
        return other?.effect === 'deny' && (!other.conditional || follows(wheres.get(n) ?? {}, own));
      });
      const id = deny === undefined ? undefined : data.grants.list[deny]?.id;
      if (id === undefined) return undefined;
      found.add(id);
    }
  return [...found].join(', ');
};

const isFor = (key: string, { tenant, name, labels }: AgentIdentity): boolean =>
  key === `agent:${tenant}/${name}` ||
  key === `tenant:${tenant}` ||
  labels.some((label) => key === `label:${tenant}/${label}` || key === `label:*/${label}`);
const isLabelled = ({ labels }: GrantEntry, agent: AgentIdentity): boolean =>
  !labels || labels.some((label) => agent.labels.includes(label));

const nobody = (places: readonly Placed[], { labels }: GrantEntry, agents: readonly AgentIdentity[]): string => {
  if (labels && agents.some((agent) => places.some(({ key }) => isFor(key, agent))))
    return `none of its agents has the label ${labels.join(' or ')}`;
  const whom = [...new Set(places.map(({ key }) => key.replace('*/', '').replace(':default/', ':').replace(':', ' ')))];
  return `there is no ${whom.slice(0, 4).join(', no ')}`;
};

const fits = (part: Part | undefined, text: string): boolean => {
  if (!part) return true;
  const [before, after] = part;
  if (after === undefined) return text === before;
  return text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
};
const isTool = (place: Placed, tool: string): boolean => {
  const { server, name } = splitTool(tool);
  return fits(place.server, server) && fits(place.name, name);
};

/** Tools that grants or profiles name in full. */
const namedTools = (data: RevisionData, places: Map<number, Placed[]>): string[] => {
  const granted = [...places.values()]
    .flat()
    .flatMap(({ server, name }) => (server?.length === 1 && name?.length === 1 ? [`${server[0]}/${name[0]}`] : []));
  const described = data.gate.tools.flatMap(({ tools }) => tools.filter((tool) => !tool.includes('*')));
  return [...new Set([...granted, ...described])];
};
