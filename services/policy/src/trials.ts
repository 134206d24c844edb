import {
  AgentGateError,
  type BundleRecord,
  type EventDraft,
  type PolicyDiffAnswer,
  type policyShadowAnswer,
  type policyShadowAsk,
  type policyShadowTold,
  type ShadowRecord,
  shadowTotals,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { Target } from './active-policy.ts';
import type { ShadowRecords } from './ports.ts';
import type { Shadow } from './shadow.ts';

// Which revision decides in the shadow, on all replicas by one record, and what they tell of it.

type Told = z.infer<typeof policyShadowTold.answer>;

export interface TrialsOptions {
  records: ShadowRecords & { bundle(version: number): Promise<BundleRecord | undefined> };
  shadow: Pick<Shadow, 'follow'>;
  /** Loads it and lets it go again. Rejects POLICY_INVALID for what could not decide. */
  verify(target: Target): Promise<void>;
  /** Asks all replicas. */
  told(after: Record<string, number>): Promise<Told[]>;
  record(draft: EventDraft<'policy.shadowed'>): Promise<unknown>;
  now(): number;
}

export interface Trials {
  shadow(by: string, ask: z.infer<typeof policyShadowAsk>): Promise<z.infer<typeof policyShadowAnswer>>;
  diff(after: Record<string, number>): Promise<PolicyDiffAnswer>;
}

const maxDifferences = 1_024;

export const createTrials = (opts: TrialsOptions): Trials => {
  const { records } = opts;

  const wantedOf = async (version: number): Promise<Pick<ShadowRecord, 'version' | 'bundle' | 'policy'>> => {
    if (version === 0) return { version };
    const pushed = await records.bundle(version);
    if (!pushed) throw new AgentGateError('FIELD_INVALID', `/version: no bundle of version ${version} was pushed`);
    return { version, bundle: pushed.bundle, policy: pushed.policy };
  };

  const shadow: Trials['shadow'] = async (by, { version, reason }) => {
    const wanted = version === null ? {} : await wantedOf(version);
    const target = targetOf(wanted);
    if (target) await opts.verify(target);
    const kept = await records.shadow();
    const { policy } = wanted;
    const before = kept?.value.version === undefined ? undefined : kept.value.version;
    await opts.record({
      name: 'policy.shadowed',
      subject: policy?.revision ?? (version === null ? 'off' : `v${version}`),
      data: {
        ...(target && { version: target.version }),
        ...(policy && { policy }),
        by,
        reason,
        ...(before !== undefined && { before: { version: before, ...sum(await opts.told({})) } }),
      },
    });
    const record: ShadowRecord = { v: 1, ...wanted, by, at: new Date(opts.now()).toISOString(), reason };
    if ((await records.setShadow(record, kept?.revision ?? 0)) === undefined)
      throw new AgentGateError(
        'FIELD_INVALID',
        '/version: somebody else set the shadow at the same moment; look, and ask again',
      );
    await opts.shadow.follow(target);
    return {
      v: 1,
      status: target ? 'shadowing' : 'off',
      ...(target && { version: target.version }),
      ...(policy && { policy }),
    };
  };

  const diff: Trials['diff'] = async (after) => {
    const [kept, told] = await Promise.all([records.shadow(), opts.told(after)]);
    const differences = told
      .flatMap(({ instance, differences }) => differences.map((each) => ({ instance, ...each })))
      .sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    const missed = told.reduce((total, each) => total + each.missed, 0);
    return {
      v: 1,
      ...(kept?.value.version !== undefined && { shadow: kept.value }),
      replicas: told.map(({ instance, state, version, problem, totals }) => ({
        instance,
        state,
        ...(version !== undefined && { version }),
        ...(problem !== undefined && { problem }),
        totals,
      })),
      differences: differences.slice(-maxDifferences),
      missed: missed + Math.max(0, differences.length - maxDifferences),
      after: Object.fromEntries(told.map(({ instance, last }) => [instance, last])),
    };
  };

  return { shadow, diff };
};

export const targetOf = ({ version, bundle }: Pick<ShadowRecord, 'version' | 'bundle'>): Target | undefined =>
  version === undefined ? undefined : { version, ...(bundle !== undefined && { bundle }) };

const numbers = shadowTotals.omit({ kinds: true }).keyof().options;
const sum = (told: Told[]) =>
  Object.fromEntries(numbers.map((key) => [key, told.reduce((total, { totals }) => total + totals[key], 0)])) as Record<
    (typeof numbers)[number],
    number
  >;
