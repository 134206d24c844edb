import { type Fact, type PreparedWhere, prepareWhere } from '../conditions/where.ts';
import type { CompiledPolicy } from '../grants/compile.ts';
import { matchingGrants } from '../grants/lookup.ts';
import { boundedArguments } from './bounded-input.ts';
import type { EntryPoint } from './entry-points.ts';
import type { InputWithFacts, PolicyInput } from './policy-input.ts';
import { loadEngine } from './wasm.ts';

/** Rego's answer in whatever form, or the field of the call that the engine must not be given. */
export type Evaluation = { result: unknown } | { fault: string };

/** Throws when the engine did: it must not be asked again then, because a throw leaves its stack where it was. */
export type Evaluator = (input: PolicyInput, entryPoint?: EntryPoint) => Evaluation;

/** More than this about one call would have the engine weigh grants instead of deciding. */
const maxMatching = 200;

/** What goes from thread to thread is copied while everybody else waits: an answer that is no decision any more stays here. */
const maxResultLength = 256 * 1024;
const isBounded = (result: unknown): boolean => (JSON.stringify(result)?.length ?? 0) <= maxResultLength;

/** Facts first, engine second. Runs in a worker: a pattern or the engine may run on, and only a worker can be ended. */
export const createEvaluator = async (policy: CompiledPolicy, module: WebAssembly.Module): Promise<Evaluator> => {
  const { data } = policy;
  const wheres = new Map<number, PreparedWhere>(
    [...policy.wheres].map(([number, where]) => [number, prepareWhere(where)]),
  );
  const engine = await loadEngine(module, data);

  const grantFacts = ({ agent, call }: PolicyInput): Record<string, Fact> | undefined => {
    const numbers = new Set(matchingGrants(data, agent, call.tool));
    if (numbers.size > maxMatching) return undefined;
    const facts: [string, Fact][] = [];
    for (const number of numbers) {
      const judge = wheres.get(number);
      const id = data.grants.list[number]?.id;
      if (judge && id !== undefined) facts.push([id, judge(call.arguments)]);
    }
    return Object.fromEntries(facts);
  };

  return (input, entryPoint = 'agentgate/decision') => {
    const bounded = boundedArguments(input.call.arguments, policy.bounds);
    if ('fault' in bounded) return bounded;
    const grants = grantFacts(input);
    if (!grants) return { result: undefined };
    const call = { ...input.call, arguments: bounded.value };
    const asked: InputWithFacts = { ...input, call, facts: { ...input.facts, grants } };
    const { result } = engine(asked, entryPoint);
    return { result: isBounded(result) ? result : undefined };
  };
};
