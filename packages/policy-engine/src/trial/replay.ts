import type { Decision } from '@agentgate/contracts';
import type { Instance } from '../instance.ts';
import type { RecordedCall } from './recorded-calls.ts';
import { type Gap, isSettledElsewhere, type TrialWorld, tryAgain } from './trial.ts';

// Recorded calls under another revision, and where it would have said something else.

export type Change = 'denied' | 'allowed' | 'held' | 'other_rule';

export interface ReplayExample {
  event: string;
  call: string;
  at: string;
  tenant: string;
  agent: string;
  tool: string;
  was: { action: Decision['action']; code: string; rule?: string };
  now: { action: Decision['action']; code: string; rule?: string; reason: string };
}

interface ReplayGroup {
  change: Change;
  rule: string;
  tenant: string;
  agent: string;
  count: number;
}

export interface ReplayReport {
  v: 1;
  policy: { revision: string; digest: string; version: number };
  from?: string;
  to?: string;
  calls: number;
  /** Decided again by all that the decision rests on. */
  replayed: number;
  same: number;
  /** Another decision, by what the call would be now. `other_rule`: the same decision for another reason. */
  changes: Record<Change, number>;
  groups: ReplayGroup[];
  examples: Partial<Record<Change, ReplayExample[]>>;
  /** Not decided by policy when they were made: killed, over a limit, not known …; by code. */
  settled_elsewhere: Record<string, number>;
  /** Not decided again, or not believed; a call counts once for each thing that is missing. */
  unfaithful: { calls: number; because: Partial<Record<Gap, number>> };
  /** Calls that passed by an operator's exception, and were replayed with it. */
  by_exception: number;
}

const maxExamples = 10;
const maxGroups = 1_000;
const batch = 256;

export interface Replay {
  /** Resolves once there is room for the next. */
  take(call: RecordedCall): Promise<void>;
  end(): Promise<ReplayReport>;
}

export const createReplay = (instance: Instance, world: TrialWorld): Replay => {
  const waiting: RecordedCall[] = [];
  const groups = new Map<string, ReplayGroup>();
  const report: ReplayReport = {
    v: 1,
    policy: { ...instance.revision, version: instance.version },
    calls: 0,
    replayed: 0,
    same: 0,
    changes: { denied: 0, allowed: 0, held: 0, other_rule: 0 },
    groups: [],
    examples: {},
    settled_elsewhere: {},
    unfaithful: { calls: 0, because: {} },
    by_exception: 0,
  };

  const differ = (call: RecordedCall, now: Decision, change: Change) => {
    report.changes[change]++;
    const rule = now.rule ?? now.code;
    const key = JSON.stringify([change, rule, call.tenant, call.agent]);
    const group = groups.get(key);
    if (group) group.count++;
    else if (groups.size < maxGroups) {
      const { tenant, agent } = call;
      groups.set(key, { change, rule, tenant, agent, count: 1 });
    }
    const examples = report.examples[change] ?? [];
    report.examples[change] = examples;
    if (examples.length < maxExamples) examples.push(exampleOf(call, now));
  };

  const flush = async () => {
    const calls = waiting.splice(0);
    const tried = await tryAgain(calls, instance, world);
    for (const [i, call] of calls.entries()) {
      const one = tried[i];
      if (one?.kind !== 'decided') {
        report.unfaithful.calls++;
        for (const gap of one?.gaps ?? (['failed'] as const))
          report.unfaithful.because[gap] = (report.unfaithful.because[gap] ?? 0) + 1;
        continue;
      }
      report.replayed++;
      const change = changeOf(call.decision, one.decision);
      if (change) differ(call, one.decision, change);
      else report.same++;
    }
  };

  return {
    take: async (call) => {
      report.calls++;
      const at = new Date(call.at).toISOString();
      report.from ??= at;
      report.to = at;
      const { decision } = call;
      if (decision.rule?.startsWith('exception/')) report.by_exception++;
      if (isSettledElsewhere(decision)) {
        report.settled_elsewhere[decision.code] = (report.settled_elsewhere[decision.code] ?? 0) + 1;
        return;
      }
      waiting.push(call);
      if (waiting.length >= batch) await flush();
    },
    end: async () => {
      if (waiting.length > 0) await flush();
      report.groups = [...groups.values()].sort((a, b) => b.count - a.count);
      return report;
    },
  };
};

const changeOf = (was: Decision, now: Decision): Change | undefined => {
  if (was.action !== now.action)
    return ({ deny: 'denied', allow: 'allowed', require_approval: 'held' } as const)[now.action];
  return was.code === now.code && was.rule === now.rule ? undefined : 'other_rule';
};

const exampleOf = ({ event, call, at, tenant, agent, tool, decision }: RecordedCall, now: Decision): ReplayExample => ({
  event,
  call,
  at: new Date(at).toISOString(),
  tenant,
  agent,
  tool,
  was: { action: decision.action, code: decision.code, ...(decision.rule !== undefined && { rule: decision.rule }) },
  now: {
    action: now.action,
    code: now.code,
    ...(now.rule !== undefined && { rule: now.rule }),
    reason: now.reason,
  },
});
