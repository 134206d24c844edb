import type { PolicyRevision } from '@agentgate/contracts';

// What a run of swaps left behind, and whether anything in it was decided by a mixture: of a rule and another revision, of a permit and another
// event, of one replica and another.

export interface SeenDecision {
  call: string;
  at: number;
  allowed: boolean;
  policy: PolicyRevision | undefined;
  rule: string | undefined;
}
/** A replica decides by it from then on; version and epoch are 0 for what the configuration says. */
export interface SeenActivation {
  replica: string;
  at: number;
  epoch: number;
  version: number;
  policy: PolicyRevision;
}
export interface SwapRun {
  decisions: readonly SeenDecision[];
  activations: readonly SeenActivation[];
  /** The revision of the permit that went to the runner, by call. */
  permits: ReadonlyMap<string, PolicyRevision>;
  replicas: number;
  /** Epochs whose activation was answered, and between which times calls were being made. */
  epochs: readonly number[];
  load: { from: number; to: number };
}
export interface SwapVerdict {
  /** Decisions by a rule that is not of their revision, or by a revision that no replica had. */
  mixed: number;
  /** Permits of another revision than the event of their call, and dispatched calls whose permit was not seen. */
  permits: { seen: number; differ: number; missing: number };
  /** Decisions by a revision that was over on every replica for longer than a replica may lag. */
  late: number;
  /** Activations that calls should have met, because they were active under load for long enough, and those that no call met. */
  reigns: { long: number; unmet: number; short: number };
  /** Replicas that skipped an epoch, went back in one, or had another policy in it than the others. */
  apart: number;
}

/** A replica that hears nothing decides on for so long. */
const fenceMs = 3_000;
/** Under load nearly every revision that was active for so long has decided something. */
const reignMs = 200;

const keyOf = ({ digest, revision }: PolicyRevision): string => `${revision} ${digest}`;
export const ruleOf = (version: number): string => `bench-${version}`;

export const judgeSwaps = (run: SwapRun): SwapVerdict => {
  const versions = new Map(run.activations.map(({ policy, version }) => [keyOf(policy), version]));
  const isMixed = ({ policy, rule }: SeenDecision) => {
    const version = policy && versions.get(keyOf(policy));
    return version === undefined || rule !== ruleOf(version);
  };
  return {
    mixed: run.decisions.filter(isMixed).length,
    permits: comparePermits(run),
    ...reignsOf(run),
    apart: replicasApart(run),
  };
};

const comparePermits = ({ decisions, permits }: SwapRun): SwapVerdict['permits'] => {
  const counts = { seen: permits.size, differ: 0, missing: 0 };
  for (const { call, allowed, policy } of decisions) {
    const permit = permits.get(call);
    if (allowed && !permit) counts.missing++;
    else if (permit && (!policy || keyOf(permit) !== keyOf(policy))) counts.differ++;
  }
  return counts;
};

/** From the moment that the first replica had it to the moment that the last one had the next. */
const reignsOf = (run: SwapRun): Pick<SwapVerdict, 'late' | 'reigns'> => {
  const byEpoch = Map.groupBy(run.activations, ({ epoch }) => epoch);
  const epochs = [...byEpoch.keys()].sort((a, b) => a - b);
  const reigns = epochs.map((epoch, i) => {
    const of = byEpoch.get(epoch) ?? [];
    const next = byEpoch.get(epochs[i + 1] ?? -1) ?? [];
    return {
      key: of[0] ? keyOf(of[0].policy) : '',
      everywhereAt: Math.max(...of.map(({ at }) => at)),
      firstOverAt: Math.min(...next.map(({ at }) => at)),
      overAt: next.length > 0 ? Math.max(...next.map(({ at }) => at)) : Number.POSITIVE_INFINITY,
    };
  });
  const met = new Set(run.decisions.flatMap(({ policy }) => (policy ? [keyOf(policy)] : [])));
  const overAt = new Map(reigns.map(({ key, overAt }) => [key, overAt]));
  const isLong = ({ everywhereAt, firstOverAt }: (typeof reigns)[number]) =>
    Math.min(firstOverAt, run.load.to) - Math.max(everywhereAt, run.load.from) >= reignMs;
  const long = reigns.filter(isLong);
  return {
    late: run.decisions.filter(({ at, policy }) => policy && at > (overAt.get(keyOf(policy)) ?? 0) + fenceMs).length,
    reigns: {
      long: long.length,
      unmet: long.filter(({ key }) => !met.has(key)).length,
      short: reigns.length - long.length,
    },
  };
};

const replicasApart = ({ activations, replicas, epochs }: SwapRun): number => {
  const of = Map.groupBy(activations, ({ replica }) => replica);
  const policyOf = new Map(activations.map(({ epoch, policy }) => [epoch, keyOf(policy)]));
  const isApart = (own: SeenActivation[]) =>
    own.some(({ epoch }, i) => i > 0 && epoch <= (own[i - 1]?.epoch ?? 0)) ||
    own.some(({ epoch, policy }) => policyOf.get(epoch) !== keyOf(policy)) ||
    epochs.some((epoch) => !own.some((each) => each.epoch === epoch));
  return [...of.values()].filter(isApart).length + Math.abs(replicas - of.size);
};
