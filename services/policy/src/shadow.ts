import { setImmediate } from 'node:timers/promises';
import {
  AgentGateError,
  type Decision,
  type ShadowDifference,
  type ShadowReplica,
  type ShadowTotals,
  type ShadowVerdict,
} from '@agentgate/contracts';
import { type Asked, type Instance, outcomeOf, type PolicyInput, splitTool } from '@agentgate/policy-engine';
import type { Target } from './active-policy.ts';

// A second revision that decides beside the active one and changes nothing. It is handed what the active one was asked once the answers are
// given, one batch at a time; what comes while too much waits is counted and let go. It carries nothing out: it asks nobody for approval,
// counts against no limit, remembers nothing. Of a call it keeps the id, what both said and their rules.

/** A call that the engine of the active policy was asked about, and what it said before anything was carried out. */
export interface Watched {
  asked: Asked & { labels: string[] };
  /** Characters of the call: so much is kept while it waits. */
  size: number;
  input: PolicyInput;
  decision: Decision;
}

export interface ShadowOptions {
  /** Fetches, verifies and loads. */
  start(target: Target): Promise<Instance>;
  now(): number;
  log: { error(fields: object, message: string): void };
}

export interface Shadow {
  /** Whether it wants to be told at all. */
  isOn(): boolean;
  /** Never throws and waits for nothing. `facts` is the active policy's (`Instance.factsDigest`). */
  offer(watched: readonly Watched[], facts: string | undefined): void;
  /** What is to decide in the shadow from now on. Rejects where it cannot be loaded; then nothing does. */
  follow(target: Target | undefined): Promise<void>;
  told(after: number): Omit<ShadowReplica, 'instance'> & {
    differences: ShadowDifference[];
    missed: number;
    last: number;
  };
  close(): Promise<void>;
}

/** Calls that may wait for it, and characters of them. */
const maxWaiting = 1_024;
const maxWaitingSize = 16 * 1024 * 1024;
/** Small, so that one that hangs is given up after few: a lost batch is decided again call by call, on a new worker for each. */
const maxBatch = 8;
const maxKept = 1_024;
const maxTold = 256;
const maxKinds = 64;
/** Workers that it may lose before it is given up: each costs the machine its start. */
const maxLost = 8;

interface Running {
  target: Target;
  instance: Instance;
}
interface Waiting extends Watched {
  facts: string | undefined;
}

const nothing = (): ShadowTotals => ({ decided: 0, differed: 0, failed: 0, dropped: 0, kinds: [] });

export const createShadow = ({ start, now, log }: ShadowOptions): Shadow => {
  let state: ShadowReplica['state'] = 'off';
  let wanted: Target | undefined;
  let running: Running | undefined;
  let problem: string | undefined;
  let totals = nothing();
  let seq = 0;
  let kept: ShadowDifference[] = [];
  const queue: Waiting[] = [];
  let waitingSize = 0;
  let draining: Promise<void> | undefined;
  let line: Promise<unknown> = Promise.resolve();

  const keep = (call: string, verdicts: { active: ShadowVerdict; shadow: ShadowVerdict }, isLate: boolean) => {
    totals.differed++;
    const { active, shadow } = verdicts;
    const kind = totals.kinds.find((each) => isSame(each.active, active) && isSame(each.shadow, shadow));
    if (kind) kind.count++;
    else if (totals.kinds.length < maxKinds) totals.kinds.push({ ...verdicts, count: 1 });
    kept.push({
      seq: ++seq,
      call,
      at: new Date(now()).toISOString(),
      ...verdicts,
      ...(isLate && { late_facts: true }),
    });
    if (kept.length > maxKept) kept.shift();
  };

  const compare = (
    waiting: Waiting,
    evaluation: unknown,
    { instance, isLate }: { instance: Instance; isLate: boolean },
  ) => {
    const { server } = splitTool(waiting.input.call.tool);
    try {
      const decision = outcomeOf(evaluation as never, { server, credentials: instance.data.credentials });
      totals.decided++;
      const active = verdictOf(waiting.decision);
      const shadow = verdictOf(decision);
      if (!isSame(active, shadow)) keep(waiting.asked.ask.call, { active, shadow }, isLate);
    } catch {
      totals.failed++;
    }
  };

  const decide = async (batch: Waiting[], instance: Instance) => {
    const isLate = batch.map(({ facts }) => facts !== instance.factsDigest);
    // Only what the shadow weighs otherwise is found out anew: the rest has it from the active policy.
    const anew = batch.filter((_, i) => isLate[i]);
    const found = anew.length > 0 ? await instance.facts.find(anew.map(({ asked }) => asked)) : [];
    const inputs = batch.map(({ input }, i): PolicyInput => {
      const own = isLate[i] ? found.shift() : undefined;
      if (!own) return input;
      const { exception } = input.facts;
      const facts = { ...own.facts, ...(exception && { exception }) };
      return { ...input, tool: { ...input.tool, labels: own.labels }, provenance: own.provenance, facts };
    });
    const evaluations = await instance.engine.decide(inputs);
    if (running?.instance !== instance) return;
    for (const [i, each] of batch.entries())
      compare(each, evaluations[i] ?? new AgentGateError('POLICY_UNAVAILABLE', 'no answer'), {
        instance,
        isLate: isLate[i] ?? false,
      });
  };

  const takeBatch = () => {
    const batch = queue.splice(0, maxBatch);
    for (const { size } of batch) waitingSize -= size;
    return batch;
  };
  const forget = () => {
    queue.splice(0);
    waitingSize = 0;
  };

  const drain = async () => {
    // Whatever was decided has left before the shadow begins.
    await setImmediate();
    while (queue.length > 0 && running) {
      const { instance } = running;
      const batch = takeBatch();
      try {
        await decide(batch, instance);
      } catch (error) {
        totals.failed += batch.length;
        log.error({ err: error }, 'the shadow could not decide');
      }
      if (running?.instance === instance && instance.engine.lost >= maxLost) giveUp(instance);
      await setImmediate();
    }
    forget();
    draining = undefined;
  };

  const giveUp = ({ engine }: Instance) => {
    state = 'gave_up';
    problem = `it was given up after ${maxLost} evaluations that hung or threw`;
    running = undefined;
    engine.close().catch((error: unknown) => log.error({ err: error }, 'the shadow did not end'));
  };

  const replace = async (target: Target | undefined) => {
    const before = running;
    running = undefined;
    problem = undefined;
    state = target ? 'loading' : 'off';
    totals = nothing();
    kept = [];
    forget();
    await before?.instance.engine.close();
    if (!target) return;
    try {
      running = { target, instance: await start(target) };
      state = 'on';
    } catch (error) {
      state = 'failed';
      problem = (error instanceof Error ? error.message : 'it cannot be loaded').slice(0, 2048);
      throw error;
    }
  };

  return {
    isOn: () => running !== undefined,
    offer: (watched, facts) => {
      if (!running) return;
      for (const each of watched) {
        if (queue.length >= maxWaiting || waitingSize + each.size > maxWaitingSize) totals.dropped++;
        else {
          queue.push({ ...each, facts });
          waitingSize += each.size;
        }
      }
      draining ??= drain();
    },
    follow: (target) => {
      const done = line.then(async () => {
        if (state !== 'failed' && isSameTarget(wanted, target)) return;
        wanted = target;
        await replace(target);
      });
      line = done.catch(() => {});
      return done;
    },
    told: (after) => {
      const newer = kept.filter((each) => each.seq > after);
      const differences = newer.slice(-maxTold);
      // A cursor of another start of this replica is none.
      const missed = after > seq ? 0 : Math.max(0, seq - after - differences.length);
      return {
        state,
        ...(wanted && { version: wanted.version }),
        ...(problem !== undefined && { problem }),
        totals: { ...totals, kinds: totals.kinds.map((each) => ({ ...each })) },
        differences,
        missed,
        last: seq,
      };
    },
    close: async () => {
      const before = running;
      running = undefined;
      forget();
      await before?.instance.engine.close();
      await draining;
    },
  };
};

const verdictOf = ({ action, code, rule }: Decision): ShadowVerdict => ({
  action,
  code,
  ...(rule !== undefined && { rule: rule.slice(0, 256) }),
});
const isSame = (a: ShadowVerdict, b: ShadowVerdict) => a.action === b.action && a.code === b.code && a.rule === b.rule;
const isSameTarget = (a: Target | undefined, b: Target | undefined) =>
  a?.version === b?.version && a?.bundle === b?.bundle;
