import type { CallReply, Session, ToolResult } from '@agentgate/client';
import { fillValue, type InjectionTask, type RecordedCall, type Suite, type Suites, type UserTask } from './data.ts';
import { injectedTexts, type Technique, techniques } from './techniques.ts';
import type { RecordedServer } from './tool-server.ts';

/** One thing to replay: a task alone, or a task with somebody's text in what it reads and that somebody's calls after it. */
export interface Replay {
  suite: string;
  task: UserTask;
  attack?: { task: InjectionTask; technique: Technique };
}

/** What became of one call. */
export interface CallOutcome {
  tool: string;
  args: Record<string, unknown>;
  fate: 'passed' | 'held' | 'denied';
  code: string;
  reason: string;
  rule: string;
}
export interface ReplayOutcome {
  replay: Replay;
  own: CallOutcome[];
  attacker: CallOutcome[];
}

/** The gate did not decide: neither a pass nor a stop may be counted. */
export class NotDecided extends Error {
  override readonly name = 'NotDecided';
}

/** Neighbours are of different tasks: they ask for different things, so that several can be replayed at once. */
export const replaysOf = (suites: Suites): Replay[] => {
  const tasks = Object.entries(suites).flatMap(([suite, { user_tasks }]) =>
    user_tasks.map((task) => ({ suite, task })),
  );
  const attacks = (suite: string) =>
    suites[suite]?.injection_tasks
      .filter((task) => task.calls.length > 0)
      .flatMap((task) => techniques.map((technique) => ({ task, technique }))) ?? [];
  const most = Math.max(0, ...Object.keys(suites).map((suite) => attacks(suite).length));
  const rounds = Array.from({ length: most }, (_, i) =>
    tasks.flatMap(({ suite, task }): Replay[] => {
      const attack = attacks(suite)[i];
      return attack ? [{ suite, task, attack }] : [];
    }),
  );
  return [...tasks, ...rounds.flat()];
};

const fateOf = (reply: CallReply): CallOutcome['fate'] => {
  if (reply.code === 'OVERLOADED') throw new NotDecided(reply.reason);
  switch (reply.status) {
    case 'ok':
    case 'tool_error':
      return 'passed';
    case 'approval_required':
      return 'held';
    case 'denied':
    case 'rate_limited':
    case 'invalid':
      return 'denied';
    case 'killed':
    case 'unavailable':
    case 'timeout':
    case 'cancelled':
    case 'outcome_unknown':
      throw new NotDecided(`${reply.status} ${reply.code}: ${reply.reason}`);
    default:
      return reply.status satisfies never;
  }
};

export interface ReplayTools {
  suite: Suite;
  session: Session;
  server: RecordedServer;
  result(call: RecordedCall, texts: Readonly<Record<string, string>>): ToolResult;
}

/** Replays a task's own calls, then the attacker's; whatever is refused, the rest is tried all the same. */
export const runReplay = async (replay: Replay, tools: ReplayTools): Promise<ReplayOutcome> => {
  const { attack, task } = replay;
  const texts = {
    ...tools.suite.vectors,
    ...(attack ? injectedTexts(attack.task, attack.technique, seenBy(task)) : {}),
  };
  const own = await runCalls(task.calls, replay.suite, texts, tools);
  const attacker = attack ? await runCalls(attack.task.calls, replay.suite, texts, tools) : [];
  return { replay, own, attacker };
};

/** The vectors that stand in what the task reads. */
const seenBy = (task: UserTask): string[] => {
  const marks = task.calls.flatMap((call) => [...JSON.stringify(call.result ?? '').matchAll(/\{\{(\w+)\}\}/g)]);
  return [...new Set([...task.seen, ...marks.flatMap((mark) => mark[1] ?? [])])];
};

const runCalls = async (
  calls: readonly RecordedCall[],
  suite: string,
  texts: Readonly<Record<string, string>>,
  { session, server, result }: ReplayTools,
): Promise<CallOutcome[]> => {
  const outcomes: CallOutcome[] = [];
  for (const call of calls) {
    const tool = `${suite}/${call.tool}`;
    const args = fillValue(call.args, texts) as Record<string, unknown>;
    const { reply, ran } = await server.during({ tool: call.tool, args, result: result(call, texts) }, () =>
      session.call(tool, args),
    );
    const fate = fateOf(reply);
    if (ran !== (fate === 'passed'))
      throw new NotDecided(`${tool}: the gate says ${reply.status}, and the tool ${ran ? 'ran' : 'did not run'}`);
    outcomes.push({ tool, args, fate, code: reply.code, reason: reply.reason ?? '', rule: reply.rule ?? '' });
  }
  return outcomes;
};
