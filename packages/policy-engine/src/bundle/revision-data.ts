import { condition, firstProblem, name, packs, policySettings, toolName, toolProfile } from '@agentgate/contracts';
import { z } from 'zod';
import { UnsafeCondition } from '../conditions/verdict.ts';
import { prepareWhere } from '../conditions/where.ts';
import { maxEntries, maxGrantsPerKey } from '../grants/compile.ts';
import type { GrantsOf, PolicyData } from '../grants/policy-data.ts';
import { createEgressScan } from '../scan/egress.ts';
import { refuse } from './refused.ts';

// data.json of a bundle. Rego reads all of it but `gate`, which says what is found out about a call before Rego decides.

const number = z.int().min(0);
const part = z.union([z.tuple([z.string()]), z.tuple([z.string(), z.string()])]);
const pattern = z.strictObject({ grant: number, server: part.optional(), name: part.optional() });
const grantsOf = z.strictObject({
  exact: z.record(toolName, z.array(number).max(maxGrantsPerKey)),
  server: z.record(name, z.array(pattern).max(maxGrantsPerKey)),
  any: z.array(pattern).max(maxGrantsPerKey),
});
const grantEntry = z.strictObject({
  id: name,
  effect: z.enum(['allow', 'require_approval', 'deny']),
  conditional: z.boolean(),
  labels: z.array(name).max(64).optional(),
  approvers: z.strictObject({ min: z.int().min(1).max(16), roles: z.array(name).max(16).optional() }).optional(),
});
const credential = z.strictObject({
  name,
  scope: z.string().max(1024).optional(),
  ttl_s: z.int().min(1).max(3600).optional(),
});
const settings = policySettings.omit({ secrets: true });

/** Further members are the author's own. */
const revisionData = z.looseObject({
  grants: z.strictObject({
    list: z.array(grantEntry).max(maxEntries),
    whom: z.record(z.string().max(256), grantsOf),
  }),
  credentials: z.record(name, credential),
  listings: z.record(name, credential),
  policy: z.strictObject({
    packs: z.partialRecord(z.enum(packs), z.literal(true)),
    egress: z.strictObject({ only_listed: z.boolean() }),
  }),
  gate: z.strictObject({
    /** The conditions of the grant of that number. */
    wheres: z.array(z.tuple([number, z.record(z.string().max(512), condition)])).max(maxEntries),
    tools: z.array(toolProfile).max(10_000),
    policy: settings,
  }),
});
export type GateData = z.infer<typeof revisionData>['gate'];
export type RevisionData = PolicyData & { gate: GateData };

/** Throws POLICY_INVALID naming the field for data that could not be decided by safely. */
export const parseRevisionData = (written: unknown): RevisionData => {
  const parsed = revisionData.safeParse(written);
  if (!parsed.success) throw refuse('data.json', firstProblem(parsed.error));
  const data = parsed.data as RevisionData;
  requireWheres(data);
  requireNumbers(data);
  requirePacks(data);
  try {
    createEgressScan(data.gate.policy.egress);
  } catch (error) {
    if (error instanceof UnsafeCondition) throw refuse('data.json', `/gate/policy/egress: ${error.message}`);
    throw error;
  }
  return data;
};

const requireWheres = ({ grants: { list }, gate: { wheres } }: RevisionData) => {
  const conditional = new Set(list.flatMap((grant, i) => (grant.conditional ? [i] : [])));
  for (const [i, [grant, where]] of wheres.entries()) {
    if (!conditional.delete(grant))
      throw refuse('data.json', `/gate/wheres/${i}: grant ${grant} has no conditions, or has them twice`);
    try {
      prepareWhere(where);
    } catch (error) {
      if (error instanceof UnsafeCondition) throw refuse('data.json', `/gate/wheres/${i}: ${error.message}`);
      throw error;
    }
  }
  for (const grant of conditional)
    throw refuse('data.json', `/gate/wheres: the conditions of grant ${grant} are missing`);
};

const requireNumbers = ({ grants: { list, whom } }: RevisionData) => {
  let entries = 0;
  for (const [key, of] of Object.entries(whom))
    for (const grant of numbersOf(of)) {
      if (grant >= list.length) throw refuse('data.json', `/grants/whom/${key}: there is no grant ${grant}`);
      if (++entries > maxEntries) throw refuse('data.json', `/grants/whom: more than ${maxEntries} entries`);
    }
};
const numbersOf = ({ exact, server, any }: GrantsOf): number[] => [
  ...Object.values(exact).flat(),
  ...Object.values(server).flatMap((entries) => entries.map(({ grant }) => grant)),
  ...any.map(({ grant }) => grant),
];

/** A pack that Rego has on and nobody finds facts for would deny everything. */
const requirePacks = ({ policy, gate }: RevisionData) => {
  const on = Object.keys(policy.packs).sort().join(', ');
  const found = [...new Set(gate.policy.packs)].sort().join(', ');
  if (on !== found)
    throw refuse('data.json', `/policy/packs: names ${on || 'none'}, /gate/policy/packs ${found || 'none'}`);
  if (policy.egress.only_listed !== (gate.policy.egress.allow !== undefined))
    throw refuse('data.json', '/policy/egress/only_listed: does not go with /gate/policy/egress');
};
