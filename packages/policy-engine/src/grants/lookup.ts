import {
  type AgentIdentity,
  type GrantsOf,
  type Part,
  type PatternEntry,
  type PolicyData,
  splitTool,
} from './policy-data.ts';

// The same look-up as `matching` in policies/agentgate/decision.rego. It only finds which facts are needed: Rego looks up for
// itself and decides nothing where a fact is missing.

const own = <T>(record: Record<string, T>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;

const whom = ({ tenant, name, labels }: AgentIdentity): string[] => [
  `agent:${tenant}/${name}`,
  ...labels.flatMap((label) => [`label:${tenant}/${label}`, `label:*/${label}`]),
  `tenant:${tenant}`,
];

const fits = (part: Part | undefined, text: string): boolean => {
  if (!part) return true;
  const [before, after] = part;
  if (after === undefined) return text === before;
  return text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
};

/** The numbers of the grants about this agent and this tool, the most specific first; some more than once. */
export const matchingGrants = (data: PolicyData, agent: AgentIdentity, tool: string): number[] => {
  const { server, name } = splitTool(tool);
  const found = whom(agent).flatMap((key) => own(data.grants.whom, key) ?? []);
  const of = (pick: (grants: GrantsOf) => PatternEntry[] | undefined) =>
    found.flatMap(pick).flatMap((e) => (e && fits(e.server, server) && fits(e.name, name) ? e.grant : []));
  const numbers = [
    ...found.flatMap((grants) => own(grants.exact, tool) ?? []),
    ...of((grants) => own(grants.server, server) ?? []),
    ...of((grants) => grants.any),
  ];
  return numbers.filter((n) => {
    const labels = data.grants.list[n]?.labels;
    return !labels || labels.some((label) => agent.labels.includes(label));
  });
};

/** Whether some arguments may pass: a grant that lets through, and no deny that holds for all arguments. */
export const mayCall = (data: PolicyData, agent: AgentIdentity, tool: string): boolean => {
  const grants = matchingGrants(data, agent, tool).flatMap((n) => data.grants.list[n] ?? []);
  if (grants.some((grant) => grant.effect === 'deny' && !grant.conditional)) return false;
  return grants.some((grant) => grant.effect !== 'deny');
};
