import { type ActiveRecord, AgentGateError, type EventDraft, type PolicyRevision } from '@agentgate/contracts';
import type { Instance, Revision } from '@agentgate/policy-engine';

// Which revision decides here. The truth is one record for all replicas; its number is the activation epoch. A replica decides only by
// the record of the newest epoch, and only while it has lately heard that there is no newer one.

/** What is to decide: a pushed bundle, or with version 0 what agentgate.yaml says. */
export type Target = Pick<ActiveRecord, 'version' | 'bundle'>;
export interface Activation {
  /** 0 where nothing was ever activated. */
  epoch: number;
  record?: ActiveRecord;
}

export interface ActivePolicyOptions {
  /** Fetches and verifies. Rejects POLICY_INVALID for what may not decide. */
  fetch(target: Target): Promise<Revision>;
  /** Loads a revision and has it decide its own cases. */
  start(revision: Revision, how: { spare: boolean }): Promise<Instance>;
  /** What the leader of the records says. */
  newest(): Promise<Activation>;
  record(draft: EventDraft<'policy.activated'>): Promise<unknown>;
  /** Milliseconds, never set back. */
  monotonic(): number;
  log: { info(fields: object, message: string): void; error(fields: object, message: string): void };
}

export interface ActivePolicy {
  /** One revision from the first to the last of `work`. Rejects POLICY_UNAVAILABLE where none may decide here. */
  under<T>(work: (instance: Instance) => Promise<T>): Promise<T>;
  /** Loads what is about to be activated beside what decides. Rejects POLICY_INVALID; then nothing has changed. */
  prepare(target: Target): Promise<PolicyRevision>;
  /** What was prepared is not wanted after all. */
  discard(): Promise<void>;
  /** Decides by the newest record from now on. Rejects where it cannot; then nothing is decided until it can. */
  settle(): Promise<number>;
  epoch(): number;
  version(): number;
  /** Why nothing is decided here. */
  problem(): string | undefined;
  close(): Promise<void>;
}

/** So long a replica decides on without hearing from the leader of the records: what was activated meanwhile is unknown to it. */
const staleMs = 3_000;
/** A prepared revision that nobody activates goes again. */
const preparedMs = 20_000;
/** A batch that still decides by the revision of before. */
const drainMs = 10_000;

interface Held {
  instance: Instance;
  users: number;
  onIdle?: (() => void) | undefined;
}

export const createActivePolicy = (opts: ActivePolicyOptions): ActivePolicy => {
  const { monotonic, log } = opts;
  let current: Held | undefined;
  let epoch = -1;
  let heardAt = Number.NEGATIVE_INFINITY;
  let fault: string | undefined = 'no policy is loaded yet';
  let prepared: { target: Target; instance: Instance; timer: NodeJS.Timeout } | undefined;
  let line: Promise<unknown> = Promise.resolve();

  /** One after the other: there is one place beside the revision that decides. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = line.then(work);
    line = done.catch(() => {});
    return done;
  };

  const problem = () =>
    fault ??
    (monotonic() - heardAt > staleMs
      ? `whether its policy is still the active one is unknown for ${staleMs} ms`
      : undefined);

  const drop = async () => {
    const dropped = prepared;
    prepared = undefined;
    if (!dropped) return;
    clearTimeout(dropped.timer);
    await dropped.instance.engine.close();
    current?.instance.engine.keepSpare();
  };

  const load = async (target: Target): Promise<Instance> => {
    const revision = await opts.fetch(target);
    if (!current) return opts.start(revision, { spare: true });
    await current.instance.engine.dropSpare();
    try {
      return await opts.start(revision, { spare: false });
    } catch (error) {
      current.instance.engine.keepSpare();
      throw error;
    }
  };

  const take = async (target: Target): Promise<Instance> => {
    if (prepared && isSame(prepared.target, target)) {
      const { instance, timer } = prepared;
      clearTimeout(timer);
      prepared = undefined;
      return instance;
    }
    await drop();
    return load(target);
  };

  /** Between two batches: those that began before end by the revision that they began with. */
  const swap = (instance: Instance, to: number) => {
    const before = current;
    current = { instance, users: 0 };
    epoch = to;
    fault = undefined;
    if (!before) return;
    retire(before)
      .catch((error: unknown) => log.error({ err: error }, 'the policy of before did not end'))
      .finally(() => instance.engine.keepSpare());
  };

  const follow = async ({ epoch: to, record }: Activation): Promise<void> => {
    const target = { version: record?.version ?? 0, ...(record?.bundle !== undefined && { bundle: record.bundle }) };
    const isStart = !current;
    try {
      const instance = await take(target);
      try {
        // Nothing is decided by a revision that evidence does not know.
        await opts.record(activated(instance, { epoch: to, ...(record && { record }) }, isStart));
      } catch (error) {
        await instance.engine.close();
        current?.instance.engine.keepSpare();
        throw error;
      }
      swap(instance, to);
      log.info({ ...instance.revision, version: target.version, epoch: to }, 'the policy is active');
    } catch (error) {
      fault = `the active policy (version ${target.version}) cannot be loaded: ${error instanceof Error ? error.message : 'unknown'}`;
      throw error;
    }
  };

  return {
    under: async (work) => {
      const why = problem();
      const held = current;
      if (why !== undefined || !held) throw new AgentGateError('POLICY_UNAVAILABLE', why ?? 'no policy is loaded yet');
      held.users++;
      try {
        return await work(held.instance);
      } finally {
        if (--held.users === 0) held.onIdle?.();
      }
    },
    prepare: (target) =>
      inTurn(async () => {
        await drop();
        const instance = await load(target);
        const timer = setTimeout(() => void inTurn(drop).catch(() => {}), preparedMs);
        timer.unref();
        prepared = { target, instance, timer };
        return instance.revision;
      }),
    discard: () => inTurn(drop),
    settle: async () => {
      const askedAt = monotonic();
      const heard = await opts.newest();
      if (heard.epoch !== epoch)
        await inTurn(async () => {
          const newest = await opts.newest();
          // Records that were set back, or a leader that is none any more: what was taken back must not decide again. Silence denies.
          if (newest.epoch < epoch) throw setBack(epoch, newest.epoch);
          if (newest.epoch !== epoch) await follow(newest);
        });
      // What the leader said was true of some moment after it was asked.
      heardAt = Math.max(heardAt, askedAt);
      return epoch;
    },
    epoch: () => Math.max(epoch, 0),
    version: () => current?.instance.version ?? 0,
    problem,
    close: async () => {
      await inTurn(drop);
      await current?.instance.engine.close();
    },
  };
};

const setBack = (known: number, told: number) =>
  new AgentGateError('POLICY_UNAVAILABLE', `the records say epoch ${told}, and epoch ${known} was active already`);

const isSame = (a: Target, b: Target) => a.version === b.version && a.bundle === b.bundle;

const retire = async (held: Held): Promise<void> => {
  if (held.users > 0) {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
      held.onIdle = resolve;
    });
    clearTimeout(timer);
  }
  await held.instance.engine.close();
};

const activated = (
  { revision }: Instance,
  { epoch, record }: Activation,
  isStart: boolean,
): EventDraft<'policy.activated'> => ({
  name: 'policy.activated',
  subject: revision.revision,
  data: {
    ...revision,
    ...(epoch > 0 && { epoch }),
    ...(record && {
      version: record.version,
      ...(record.bundle !== undefined && { bundle: record.bundle }),
      action: isStart ? 'start' : record.action,
      by: record.by,
      reason: record.reason,
    }),
  },
});
