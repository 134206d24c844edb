import type { Fate, pointContain, pointFate } from '@agentgate/contracts';
import type { z } from 'zod';

export type PointAnswer = z.infer<(typeof pointContain)['answer']>;
type PointFate = z.infer<typeof pointFate>;

/** Where two points disagree, the one that leaves more open. */
const weight: Record<Fate, number> = { aborted: 0, completed: 1, unknown: 2 };
const worse = (a: Fate | undefined, b: Fate): Fate => (a === undefined || weight[b] > weight[a] ? b : a);

/**
 * What became of each call, by what the points say of it. A runner's word wins, for the tool runs there. Ingress alone knows a call that it `dispatched`:
 * if every runner confirmed, and none was lost that may have run it, the call is still on its way and will be refused on arrival.
 */
export const mergeFates = (
  answers: readonly PointAnswer[],
  runnersAllKnown: boolean,
): { call: string; fate: Fate }[] => {
  const fates = new Map<string, { runner?: Fate; ingress?: Fate }>();
  for (const { service, calls } of answers) {
    for (const { call, fate } of calls) {
      const known = fates.get(call) ?? {};
      if (service === 'tool-runner') known.runner = worse(known.runner, ofRunner(fate));
      else known.ingress = worse(known.ingress, ofIngress(fate, runnersAllKnown));
      fates.set(call, known);
    }
  }
  // In the order of their ids, which is the order of their time: two receipts can be compared.
  return [...fates].sort(byName).map(([call, { runner, ingress }]) => ({ call, fate: runner ?? ingress ?? 'unknown' }));
};

export const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

const ofIngress = (fate: PointFate, runnersAllKnown: boolean): Fate => {
  switch (fate) {
    case 'not_started':
      return 'aborted';
    case 'dispatched':
      return runnersAllKnown ? 'aborted' : 'unknown';
    default:
      return fate;
  }
};

/** A runner hands calls to nobody who knows more, so its `dispatched` is an open end. */
const ofRunner = (fate: PointFate): Fate => {
  switch (fate) {
    case 'not_started':
      return 'aborted';
    case 'dispatched':
      return 'unknown';
    default:
      return fate;
  }
};

/** One event of evidence has to hold them. */
const maxNamed = 100;

/** Several brokers tell of the same leases: what one of them saw refused is ended, whatever the others could not say yet. */
export const mergeLeases = (answers: readonly PointAnswer[]): { revoked: number; irrevocable: string[] } => {
  const told = answers.flatMap(({ leases }) => leases ?? []);
  const revoked = new Set(told.flatMap((leases) => leases.revoked));
  const rest = new Set(told.flatMap(({ unproven, failed }) => [...unproven, ...failed]));
  const irrevocable = [...rest].filter((lease) => !revoked.has(lease)).sort();
  return { revoked: revoked.size, irrevocable: irrevocable.slice(0, maxNamed) };
};
