import { expect, test } from 'vitest';
import { judgeSwaps, ruleOf, type SwapRun } from './swap-evidence.ts';

// The benchmark's verdict is only worth something where it can be no.

const policyOf = (version: number) => ({ revision: `v${version}`, digest: String(version).repeat(64) });
const starts = [0, 1_000, 2_000, 3_000];
const honest = (): SwapRun => ({
  activations: ['a', 'b'].flatMap((replica, lag) =>
    starts.map((at, n) => ({ replica, at: at + 10 * lag, epoch: n, version: n, policy: policyOf(n) })),
  ),
  decisions: [0, 1, 2].map((n) => ({
    call: `call_${n}`,
    at: n * 1_000 + 500,
    allowed: true,
    policy: policyOf(n),
    rule: ruleOf(n),
  })),
  permits: new Map([0, 1, 2].map((n) => [`call_${n}`, policyOf(n)])),
  replicas: 2,
  epochs: [1, 2, 3],
  load: { from: 0, to: 3_100 },
});
const good = { mixed: 0, late: 0, apart: 0, permits: { seen: 3, differ: 0, missing: 0 } };
type Decision = SwapRun['decisions'][number];
const withDecision = (more: Partial<Decision>): SwapRun => {
  const run = honest();
  const [first, ...others] = run.decisions as [Decision, ...Decision[]];
  return { ...run, decisions: [{ ...first, ...more }, ...others] };
};

test('finds nothing in an honest run, whose last revision came when the load was about to end', () => {
  expect(judgeSwaps(honest())).toEqual({ ...good, reigns: { long: 3, unmet: 0, short: 1 } });
});

test.each<[string, SwapRun, object]>([
  ['a rule of another revision', withDecision({ rule: ruleOf(1) }), { mixed: 1 }],
  ['a revision that no replica had', withDecision({ policy: policyOf(9) }), { mixed: 1 }],
  [
    'the name of a revision with the digest of another',
    withDecision({ policy: { ...policyOf(0), digest: 'f' } }),
    { mixed: 1 },
  ],
  ['a decision without a revision', withDecision({ policy: undefined }), { mixed: 1 }],
  [
    'a permit of another revision',
    { ...honest(), permits: new Map([...honest().permits, ['call_0', policyOf(1)]]) },
    { permits: { seen: 3, differ: 1, missing: 0 } },
  ],
  ['a call without a permit', { ...honest(), permits: new Map() }, { permits: { seen: 0, differ: 0, missing: 3 } }],
  ['a decision long after its revision was over', withDecision({ at: 4_100 }), { late: 1 }],
  [
    'a revision that no call met',
    { ...honest(), decisions: honest().decisions.slice(1) },
    { reigns: { long: 3, unmet: 1, short: 1 } },
  ],
  ['a replica that skipped an epoch', { ...honest(), activations: honest().activations.slice(0, -1) }, { apart: 1 }],
  ['a replica that was never heard of', { ...honest(), activations: honest().activations.slice(0, 4) }, { apart: 1 }],
  [
    'a replica with another policy in the same epoch',
    {
      ...honest(),
      activations: honest().activations.map((each, i) => (i === 2 ? { ...each, policy: policyOf(1) } : each)),
    },
    { apart: 1 },
  ],
])('finds %s', (_, run, found) => {
  expect(judgeSwaps(run)).toMatchObject(found);
});
