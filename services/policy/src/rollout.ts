import {
  type ActiveRecord,
  AgentGateError,
  type EventDraft,
  type PolicyHistory,
  type PolicyRolloutAnswer,
  type policyBundleAnswer,
  type policyPushAnswer,
  type RolloutReplica,
} from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import type { Revision } from '@agentgate/policy-engine';
import type { z } from 'zod';
import type { Target } from './active-policy.ts';
import type { PolicyRecords } from './ports.ts';
import { type Replicas, silentAfterMs } from './replicas.ts';

// What engineers do with policies. Every replica verifies and loads a bundle before one record makes it active for all; the record is
// written by compare-and-set, so of two who activate at once one is first.

/** An answer of a replica: `problem` where it refuses. */
export interface ReplicaAnswer {
  instance: string;
  ms: number;
  problem?: string | undefined;
}

export interface RolloutOptions {
  records: PolicyRecords;
  bundles: {
    put(bundle: string, archive: Uint8Array): Promise<void>;
    get(bundle: string): Promise<Uint8Array | undefined>;
  };
  replicas: Replicas;
  /** Verifies an archive without running anything of it. Rejects POLICY_INVALID. */
  open(archive: Uint8Array): Promise<Revision>;
  /** Loads what is stored, has it decide its cases and lets it go, beside whatever is being rolled out. Rejects POLICY_INVALID. */
  verify(target: Target): Promise<void>;
  /** Ask all replicas, this one too, and wait for those that are named. */
  prepareAll(ask: Target & Pick<ActiveRecord, 'action' | 'by'>, wanted: readonly string[]): Promise<ReplicaAnswer[]>;
  settleAll(epoch: number, wanted: readonly string[]): Promise<ReplicaAnswer[]>;
  record(
    draft: EventDraft<'policy.pushed'> | EventDraft<'policy.rejected'> | EventDraft<'policy.activation_asked'>,
  ): Promise<unknown>;
  /** Two engineers have to ask the same. */
  dualControl: boolean;
  /** Milliseconds since the epoch. */
  now(): number;
}

type PushAnswer = z.infer<typeof policyPushAnswer>;
type Wanted = Target & Pick<ActiveRecord, 'policy' | 'action' | 'by' | 'reason'>;

export interface Rollout {
  push(by: string, archive: Uint8Array): Promise<PushAnswer>;
  activate(by: string, ask: { version: number; reason: string }): Promise<PolicyRolloutAnswer>;
  rollback(by: string, ask: { version?: number | undefined; reason: string }): Promise<PolicyRolloutAnswer>;
  history(): Promise<PolicyHistory>;
  /** What was pushed; whoever reads it verifies it, as a replica does. */
  bundle(ask: { version?: number | undefined }): Promise<z.infer<typeof policyBundleAnswer>>;
}

const turnMs = 60_000;
const secondMs = 300_000;
/** Others make another one active in the same moments. */
const tries = 8;

const invalid = (why: string) => new AgentGateError('FIELD_INVALID', why);
const later = (at: number) => new Date(at).toISOString();

export const createRollout = (opts: RolloutOptions): Rollout => {
  const { records, replicas, now } = opts;

  const push: Rollout['push'] = async (by, archive) => {
    const bundle = sha256Hex(archive);
    try {
      const { version, id } = await opts.open(archive);
      const there = await records.bundle(version);
      if (there?.bundle === bundle) return { v: 1, status: 'already_pushed', version, bundle, policy: id };
      if (there) throw takenBy(version, there);
      await opts.bundles.put(bundle, archive);
      // As it will be loaded: what a replica would refuse is refused now.
      await opts.verify({ version, bundle });
      await opts.record({
        name: 'policy.pushed',
        subject: id.revision,
        data: { ...id, version, bundle, by },
      });
      const record = { v: 1 as const, version, bundle, policy: id, bytes: archive.byteLength, by, at: later(now()) };
      if (!(await records.addBundle(record))) throw takenBy(version, await records.bundle(version));
      return { v: 1, status: 'pushed', version, bundle, policy: id };
    } catch (error) {
      await reject(error, { stage: 'push', bundle, by });
      throw error;
    }
  };

  /** What is not taken is in evidence with the reason. */
  const reject = async (
    error: unknown,
    about: { stage: 'push' | 'activate'; bundle: string; by: string; version?: number },
  ) => {
    if (!(error instanceof AgentGateError) || error.code !== 'POLICY_INVALID') return;
    await opts.record({
      name: 'policy.rejected',
      subject: about.bundle.slice(0, 16),
      data: { ...about, reason: error.message.slice(0, 2048) },
    });
  };

  /** Prepares everywhere, writes the record, waits for everybody. `epoch` is of the record that it was decided over. */
  const rollOut = async (wanted: Wanted, epoch: number, isNamed = false): Promise<PolicyRolloutAnswer> => {
    const { version, bundle, policy, action, by, reason } = wanted;
    const target = { version, ...(bundle !== undefined && { bundle }) };
    const known = replicas.known();
    const wait = known.filter(({ silentMs }) => silentMs < silentAfterMs).map(({ instance }) => instance);
    const answers = await opts.prepareAll({ ...target, action, by }, wait);
    const refused = stoppedBy(action, answers);
    const tell = (status: PolicyRolloutAnswer['status'], at: number, told: RolloutReplica[], problem?: string) => ({
      v: 1 as const,
      status,
      version,
      epoch: at,
      replicas: told,
      ...(problem !== undefined && { problem: problem.slice(0, 2048) }),
    });
    if (refused) return tell('refused', epoch, toldOf(known, answers), refused.problem);
    const record: ActiveRecord = {
      v: 1,
      ...target,
      ...(policy && { policy }),
      action,
      by,
      at: later(now()),
      reason,
    };
    const written = await write(record, epoch, isNamed);
    if (written === undefined) return conflict(version, await records.active());
    const settled = await opts.settleAll(written, wait);
    const told = toldOf(known, settled);
    const missing = told.filter(({ status }) => status !== 'confirmed');
    return missing.length === 0
      ? tell('activated', written, told)
      : tell('incomplete', written, told, `${missing.map(({ instance }) => instance).join(', ')} did not confirm`);
  };

  /** Who goes back to a version by its name wants that one whatever newer one is active by now: nobody keeps ahead of it by being quick. */
  const write = async (record: ActiveRecord, over: number, isNamed: boolean): Promise<number | undefined> => {
    let epoch = over;
    for (let i = 0; i < tries; i++) {
      const written = await records.activate(record, epoch);
      if (written !== undefined || !isNamed) return written;
      const newest = await records.active();
      if ((newest.record?.version ?? 0) <= record.version) return undefined;
      epoch = newest.epoch;
    }
    return undefined;
  };

  /** One rollout at a time; whoever comes second hears who is first. Taking back does not wait: of two records one is over the other. */
  const inTurn = async (
    { by, version, action }: Pick<ActiveRecord, 'by' | 'version' | 'action'>,
    work: () => Promise<PolicyRolloutAnswer>,
  ): Promise<PolicyRolloutAnswer> => {
    const before = await records.turn();
    const taken =
      before && before.value.until > now() && action === 'activate'
        ? undefined
        : await records.takeTurn({ v: 1, by, version, until: now() + turnMs }, before?.revision ?? 0);
    if (taken === undefined && action === 'activate') {
      const first = (await records.turn())?.value;
      const { epoch } = await records.active();
      const problem = `${first?.by ?? 'somebody else'} is rolling out version ${first?.version ?? '?'} right now`;
      return { v: 1, status: 'conflict', version, epoch, replicas: [], problem };
    }
    try {
      return await work();
    } finally {
      if (taken !== undefined) await records.takeTurn({ v: 1, by, version, until: 0 }, taken);
    }
  };

  const activate: Rollout['activate'] = async (by, { version, reason }) => {
    const pushed = await records.bundle(version);
    if (!pushed) throw invalid(`/version: no bundle of version ${version} was pushed`);
    const { bundle, policy } = pushed;
    const target: Wanted = { version, bundle, policy, action: 'activate', by, reason };
    return inTurn(target, async () => {
      const { epoch, record } = await records.active();
      if (version <= (record?.version ?? 0)) {
        const why = `version ${version} is not newer than ${record?.version}, which is active; only rollback brings an older one back`;
        await reject(new AgentGateError('POLICY_INVALID', why), { stage: 'activate', bundle, version, by });
        throw invalid(`/version: ${why}`);
      }
      if (opts.dualControl && !(await isSecond(by, { version, bundle, reason })))
        return { v: 1, status: 'pending_second', version, epoch, replicas: [] };
      return rollOut(target, epoch);
    });
  };

  const isSecond = async (by: string, of: { version: number; bundle: string; reason: string }): Promise<boolean> => {
    const { version, bundle, reason } = of;
    const asked = await records.asked();
    const first = asked?.value;
    const isOpen = first?.version === version && first.bundle === bundle && now() - first.at < secondMs;
    // Taken with the word: one person's yes is good for one activation.
    if (isOpen && first.by !== by) return (await records.ask({ ...first, at: 0 }, asked?.revision ?? 0)) !== undefined;
    await opts.record({
      name: 'policy.activation_asked',
      subject: `v${version}`,
      data: { version, bundle, by, reason },
    });
    if (!isOpen) await records.ask({ v: 1, by, version, bundle, at: now() }, asked?.revision ?? 0);
    return false;
  };

  const rollback: Rollout['rollback'] = async (by, ask) => {
    const { epoch, record } = await records.active();
    if (!record) throw invalid('/version: nothing was activated yet, so there is nothing to go back from');
    const version = ask.version ?? before([{ ...record, epoch }, ...olderThan(epoch)]);
    if (version === record.version) throw invalid(`/version: version ${version} is active already`);
    const target = await oldTarget(version);
    if (version > record.version)
      throw invalid(`/version: version ${version} is newer than ${record.version}, which is active; activate it`);
    const { reason } = ask;
    return inTurn({ by, version, action: 'rollback' }, () =>
      rollOut({ ...target, action: 'rollback', by, reason }, epoch, ask.version !== undefined),
    );
  };

  /** What this replica saw may lag behind what the records' leader says. */
  const olderThan = (epoch: number) => records.history().activations.filter((each) => each.epoch < epoch);

  /** Only what was active once. */
  const oldTarget = async (version: number): Promise<Target & Pick<ActiveRecord, 'policy'>> => {
    if (version === 0) return { version };
    const was = records.history().activations.find((each) => each.version === version);
    if (!was) throw invalid(`/version: version ${version} was never active; activate it`);
    const { bundle, policy } = was;
    return { version, ...(bundle !== undefined && { bundle }), ...(policy && { policy }) };
  };

  const history: Rollout['history'] = async () => {
    const { epoch, record } = await records.active();
    const { activations, bundles } = records.history();
    return {
      v: 1,
      active: { version: record?.version ?? 0, epoch, ...(record?.policy && { policy: record.policy }) },
      activations: activations.slice(0, 64),
      bundles: bundles.slice(0, 256),
      replicas: replicas.known().map(({ instance, epoch, silentMs }) => ({ instance, epoch, silent_ms: silentMs })),
    };
  };

  const bundle: Rollout['bundle'] = async ({ version: asked }) => {
    const version = asked ?? (await records.active()).record?.version ?? 0;
    if (version === 0) return { v: 1, version };
    const pushed = await records.bundle(version);
    const archive = pushed && (await opts.bundles.get(pushed.bundle));
    if (!archive) throw invalid(`/version: no bundle of version ${version} was pushed`);
    return { v: 1, version, bundle: Buffer.from(archive).toString('base64') };
  };

  return { push, activate, rollback, history, bundle };
};

const takenBy = (version: number, there: { by: string; bundle: string } | undefined) =>
  new AgentGateError(
    'POLICY_INVALID',
    `.manifest: /metadata/agentgate/version: ${there?.by ?? 'somebody else'} pushed another bundle as version ${version} (${there?.bundle.slice(0, 16)}…)`,
  );

const conflict = (
  version: number,
  { epoch, record }: Awaited<ReturnType<PolicyRecords['active']>>,
): PolicyRolloutAnswer => ({
  v: 1,
  status: 'conflict',
  version,
  epoch,
  replicas: [],
  problem: `${record?.by ?? 'somebody else'} made version ${record?.version ?? 0} active meanwhile`,
});

/** The version under the one that is active: what was taken back is not gone back to. */
const before = (activations: PolicyHistory['activations']): number => {
  const stack: number[] = [0];
  for (const { action, version } of activations.toReversed()) {
    if (action === 'activate') stack.push(version);
    else stack.splice(Math.max(stack.lastIndexOf(version), 0) + 1);
    if (stack.at(-1) !== version) stack.push(version);
  }
  return stack.at(-2) ?? 0;
};

/** One refusal stops what is new. It does not stop taking back: who cannot load that one decides nothing, which is better than what is taken back. */
const stoppedBy = (action: ActiveRecord['action'], answers: ReplicaAnswer[]): ReplicaAnswer | undefined => {
  const refusals = answers.filter(({ problem }) => problem !== undefined);
  return action === 'activate' || refusals.length === answers.length ? refusals[0] : undefined;
};

const toldOf = (known: ReturnType<Replicas['known']>, answers: ReplicaAnswer[]): RolloutReplica[] => {
  const told = answers.map(
    ({ instance, ms, problem }): RolloutReplica =>
      problem === undefined
        ? { instance, status: 'confirmed', ms }
        : { instance, status: 'refused', ms, problem: problem.slice(0, 2048) },
  );
  const heard = new Set(answers.map(({ instance }) => instance));
  const silent = known.filter(({ instance }) => !heard.has(instance));
  return [...told, ...silent.map(({ instance }): RolloutReplica => ({ instance, status: 'silent' }))];
};
