import {
  AgentGateError,
  bundlesStore,
  policyAlive,
  policyPrepare,
  policySettle,
  policyShadowTold,
} from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import { type Instance, openBundle, type Recall, type Revision, refuse, startInstance } from '@agentgate/policy-engine';
import { newId, type ServiceContext } from '@agentgate/runtime';
import { type ActivePolicy, createActivePolicy, type Target } from './active-policy.ts';
import { openPolicyRecords } from './adapters/policy-records.ts';
import type { PolicyConfig } from './config.ts';
import { serveRollouts } from './engineers.ts';
import { createExceptions, type Exceptions } from './exceptions.ts';
import { serveTrials } from './operators.ts';
import type { Agents, Catalog, PolicyRecords } from './ports.ts';
import { createReplicas, type Replicas, silentAfterMs } from './replicas.ts';
import { createRollout, type ReplicaAnswer, type RolloutOptions } from './rollout.ts';
import type { Deciding } from './service.ts';
import { createShadow, type Shadow } from './shadow.ts';
import { createTrials, targetOf } from './trials.ts';

export interface Revisions {
  under<T>(work: (deciding: Deciding) => Promise<T>): Promise<T>;
  /** Workers that had to be ended, of the revision that decides now. */
  lost(): number;
  epoch(): number;
  exceptions: Exceptions;
  shadow: Shadow;
  close(): Promise<void>;
}

const aliveMs = 1_000;
/** A revision that loads beside the one that decides. */
const loadMs = 10_000;

/** The life of revisions in this replica: which one decides, and what engineers do with them. Resolves also where none can decide yet. */
export const startRevisions = async (
  ctx: ServiceContext,
  config: PolicyConfig,
  { memory, agents, catalog }: { memory: Recall; agents: Agents; catalog: Pick<Catalog, 'get'> },
): Promise<Revisions> => {
  const { bus, log, evidence, instance, now } = ctx;
  const monotonic = () => performance.now();
  const replicas = createReplicas(monotonic);
  bus.hear(policyAlive, (told) => replicas.alive(told.instance, told.epoch, told.state));
  const objects = bus.objects(bundlesStore.name.slice('OBJ_'.length));
  const fetch = async ({ bundle, version }: Target): Promise<Revision> => {
    if (bundle === undefined) return config.revision;
    const archive = await objects.get(bundle);
    if (!archive) throw refuse('bundle', `${bundle.slice(0, 16)}… is not in the object store`);
    if (sha256Hex(archive) !== bundle) throw refuse('bundle', 'the object store gave other bytes than were pushed');
    const revision = await openBundle(archive, config.authors);
    if (revision.version !== version)
      throw refuse('.manifest', `says version ${revision.version}, and the record ${version}`);
    return revision;
  };
  let isFirst = true;
  const state: { active?: ActivePolicy; exceptions?: Exceptions } = {};
  const settle = () => {
    state.active?.settle().catch((error: unknown) => log.error({ err: error }, 'the active policy cannot be loaded'));
  };
  const startShadow = async (target: Target) =>
    startInstance({
      revision: await fetch(target),
      secrets: config.secrets,
      memory,
      log,
      spare: false,
      startMs: loadMs,
    });
  const verify = oneByOne(async (target: Target) => (await startShadow(target)).engine.close());
  const shadow = createShadow({ start: startShadow, now, log });
  const records = await openPolicyRecords(bus, {
    log,
    onActive: () => settle(),
    onExceptions: (record, revision) => state.exceptions?.take(record, revision),
    onShadow: (record) =>
      void shadow
        .follow(targetOf(record))
        .catch((error: unknown) => log.error({ err: error }, 'the shadow cannot be loaded')),
  });
  const exceptions = createExceptions({
    records,
    agents,
    catalog,
    dualControl: config.dualExceptions,
    record: (draft) => evidence.record(draft),
    newId,
    now,
    monotonic,
    log,
  });
  state.exceptions = exceptions;
  const active = createActivePolicy({
    fetch,
    start: async (revision, { spare }) => {
      const options = { revision, secrets: config.secrets, memory, log, spare };
      const started = await startInstance(isFirst ? options : { ...options, startMs: loadMs });
      isFirst = false;
      return started;
    },
    newest: () => records.active(),
    record: (draft) => evidence.record(draft),
    monotonic,
    log,
  });
  state.active = active;
  const tell = (now: 'up' | 'leaving') =>
    bus.notify(policyAlive, { v: 1, instance, epoch: active.epoch(), state: now });
  serve(ctx, { config, active, records, replicas, verify, bundles: objects });
  serveTrials({
    bus,
    log,
    exceptions,
    shadow,
    trials: createTrials({
      records,
      shadow,
      verify,
      told: (after) => bus.broadcast(policyShadowTold, { v: 1, after }, { enough: saysAll(replicas) }),
      record: (draft) => evidence.record(draft),
      now,
    }),
  });
  ctx.health.check('policy', () => active.problem() ?? true);
  // A replica that cannot load what is active must still be there for somebody to take it back.
  await active.settle().catch((error: unknown) => {
    if (records.history().activations.length === 0) throw error;
    log.error({ err: error }, 'the active policy cannot be loaded');
  });
  await exceptions.settle();
  tell('up');
  const timer = setInterval(() => {
    tell('up');
    settle();
    void exceptions.settle();
  }, aliveMs);
  let engine: Instance['engine'] | undefined;
  return {
    under: (work) =>
      active.under((deciding) => {
        engine = deciding.engine;
        return work(deciding);
      }),
    lost: () => engine?.lost ?? 0,
    epoch: () => active.epoch(),
    exceptions,
    shadow,
    close: async () => {
      clearInterval(timer);
      tell('leaving');
      await Promise.all([records.close(), active.close(), shadow.close()]);
    },
  };
};

const maxVerifying = 8;
/** Each has a worker of its own beside those that decide, and memory for it. */
const oneByOne = (verify: (target: Target) => Promise<void>): ((target: Target) => Promise<void>) => {
  let line: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return async (target) => {
    if (waiting >= maxVerifying) throw new AgentGateError('OVERLOADED', 'too many policies wait to be verified');
    waiting++;
    const done = line.then(() => verify(target)).finally(() => waiting--);
    line = done.catch(() => {});
    return done;
  };
};

/** Whoever lately said that it runs has answered. */
const saysAll =
  (replicas: Replicas) =>
  (answers: { instance: string }[]): boolean =>
    replicas
      .known()
      .filter(({ silentMs }) => silentMs < silentAfterMs)
      .every(({ instance }) => answers.some((answer) => answer.instance === instance));

const serve = (
  { bus, evidence, log, now }: ServiceContext,
  parts: {
    config: PolicyConfig;
    active: ActivePolicy;
    records: PolicyRecords;
    replicas: Replicas;
    verify(target: Target): Promise<void>;
    bundles: RolloutOptions['bundles'];
  },
): void => {
  const { config, active, records, replicas } = parts;
  /** Whoever else answers is heard as well; those that are named are waited for. */
  const gather = <T extends { instance: string; problem?: string | undefined }>(wanted: readonly string[]) => {
    const told = new Map<string, ReplicaAnswer>();
    return {
      told,
      how: {
        onAnswer: ({ instance, problem }: T, ms: number) => void told.set(instance, { instance, ms, problem }),
        enough: (answers: T[]) => wanted.every((each) => answers.some(({ instance }) => instance === each)),
      },
    };
  };
  const rollout = createRollout({
    records,
    replicas,
    bundles: parts.bundles,
    verify: parts.verify,
    open: (archive) => openBundle(archive, config.authors),
    prepareAll: async (ask, wanted) => {
      const { told, how } = gather(wanted);
      await bus.broadcast(policyPrepare, { v: 1, ...ask }, how);
      return [...told.values()];
    },
    settleAll: async (epoch, wanted) => {
      const { told, how } = gather(wanted);
      await bus.broadcast(policySettle, { v: 1, epoch }, how);
      return [...told.values()];
    },
    record: (draft) => evidence.record(draft),
    dualControl: config.dualControl,
    now,
  });
  serveRollouts({
    bus,
    rollout,
    active,
    log,
    onRefused: ({ version, bundle, action, by }, reason) =>
      evidence
        .record({
          name: 'policy.rejected',
          subject: bundle?.slice(0, 16) ?? `v${version}`,
          data: { stage: action, version, ...(bundle !== undefined && { bundle }), by, reason },
        })
        .catch((error: unknown) => log.error({ err: error }, 'a refused policy is not in evidence')),
  });
};
