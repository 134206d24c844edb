import { type Decision, decision as decisionSchema } from '@agentgate/contracts';
import { z } from 'zod';
import type { Where } from '../conditions/where.ts';
import { createEvaluator } from '../engine/evaluator.ts';
import type { PolicyInput } from '../engine/policy-input.ts';
import type { CompiledPolicy } from '../grants/compile.ts';

// Which rules fired for one call, and what would have let it pass: for people, nothing acts on it.

const verdict = z.looseObject({
  action: z.string(),
  code: z.string(),
  reason: z.string(),
  rule: z.string().optional(),
});
const weighed = z.object({
  id: z.string(),
  effect: z.enum(['allow', 'require_approval', 'deny']),
  state: z.enum(['holds', 'fails', 'unclear']),
  pointer: z.string().optional(),
  condition: z.string().optional(),
  why: z.string().optional(),
});
/** What `data.agentgate.explain` answers; one of an older policy has no exception. */
const explained = z.object({
  decision: decisionSchema,
  packs: z.array(verdict).max(256),
  exception: z.object({ id: z.string(), owner: z.string(), until: z.string() }).nullish(),
  grants: z.array(weighed).max(256),
});
export type WeighedGrant = z.infer<typeof weighed> & { where?: Where };

export interface Explanation {
  decision: Decision;
  /** What the packs beyond the grants said. */
  packs: { action: string; code: string; reason: string; rule?: string }[];
  exception?: { id: string; owner: string; until: string };
  /** In the order of weight. */
  grants: WeighedGrant[];
  /** Each a way by itself, the least first; empty where the call passes. */
  remedies: string[];
}

/** Undefined where the policy gives no explanation of the call: then it gives no decision either, and the call is denied. */
export const explainCall = async (
  policy: CompiledPolicy,
  { module, input }: { module: WebAssembly.Module; input: PolicyInput },
): Promise<Explanation | { fault: string }> => {
  const evaluate = await createEvaluator(policy, module);
  const evaluation = evaluate(input, 'agentgate/explain');
  if ('fault' in evaluation) return evaluation;
  const parsed = explained.safeParse(evaluation.result);
  if (!parsed.success)
    return { fault: 'the policy gives no explanation, as it gives none where a fact that it asks for is missing' };
  const { decision, packs, exception, grants } = parsed.data;
  const numbers = new Map(policy.data.grants.list.map(({ id }, i) => [id, i]));
  const withWhere = grants.map((grant): WeighedGrant => {
    const where = policy.wheres.get(numbers.get(grant.id) ?? -1);
    return { ...grant, ...(where && { where }) };
  });
  return {
    decision,
    packs: packs.map(({ action, code, reason, rule }) => ({
      action,
      code,
      reason,
      ...(rule !== undefined && { rule }),
    })),
    ...(exception && { exception }),
    grants: withWhere,
    remedies: decision.action === 'allow' ? [] : remediesOf(input, { decision, grants: withWhere, packs }),
  };
};

const condition = ({ pointer = '', condition: name = '', where }: WeighedGrant): string => {
  const value = where?.[pointer]?.[name as keyof Where[string]];
  return `${pointer} ${name}${value === undefined ? '' : ` ${JSON.stringify(value)}`}`;
};

const remediesOf = (
  input: PolicyInput,
  { decision, grants, packs }: { decision: Decision; grants: WeighedGrant[]; packs: z.infer<typeof verdict>[] },
): string[] => {
  const { agent, call } = input;
  const denies = grants.filter(({ effect, state }) => effect === 'deny' && state === 'holds');
  const unclear = grants.filter(({ effect, state }) => effect !== 'allow' && state === 'unclear');
  const refusals = packs.filter(({ action }) => action === 'deny');
  if (denies.length > 0)
    return [
      `the policy without ${list(
        'grant',
        denies.map(({ id }) => id),
      )}, which ${denies.length > 1 ? 'deny' : 'denies'} it; nothing overrides a deny`,
    ];
  if (unclear.length > 0)
    return unclear.map(
      (grant) => `another argument, one that ${condition(grant)} of grant ${grant.id} can judge: ${grant.why}`,
    );
  const needed: string[] = [];
  if (!grants.some(({ effect, state }) => effect !== 'deny' && state === 'holds')) {
    const missed = grants.filter(({ effect, state }) => effect !== 'deny' && state !== 'holds');
    needed.push(
      ...missed.map((grant) => `an argument that satisfies ${condition(grant)} of grant ${grant.id}: ${grant.why}`),
      `a grant that lets agent ${agent.name} of tenant ${agent.tenant} call ${call.tool}${missed.length > 0 ? ' with these arguments' : ''}`,
      `for a while: agentgate policy except add --agent ${agent.name}${agent.tenant === 'default' ? '' : ` --tenant ${agent.tenant}`} --tool ${call.tool} --for 10m --reason …`,
    );
  }
  if (refusals.length > 0)
    return [
      ...refusals.map(({ rule, reason }) => `a call that ${rule ?? 'the policy'} does not refuse: ${reason}`),
      ...needed.map((one) => `besides: ${one}`),
    ];
  if (needed.length === 0 && decision.action === 'require_approval')
    return ["a person's word: ask again with its approval once it is granted (agentgate approvals)"];
  return needed;
};

const list = (what: string, names: string[]): string => `${what}${names.length > 1 ? 's' : ''} ${names.join(', ')}`;
