import { join } from 'node:path';
import type { Bus } from '@agentgate/bus';
import { agentSubject, agentVerbs, type CallReply, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { EvidenceEvent } from '@agentgate/evidence';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import { type ReadEntry, readEvidence } from '../evidence/index.ts';
import type { Run } from '../run.ts';
import { connectAs, trustOf } from '../stack.ts';
import { openSession } from './call.ts';

const agent = 'demo';
const purpose = 'Summarise the welcome text.';
/** The last event of the story reaches the log a moment after the call's reply. */
const evidenceMs = 10_000;

interface Step {
  say: string;
  expected: string;
  got: string;
  held: boolean;
  detail: string;
}

interface Stage {
  ctx: CliContext;
  steps: Step[];
  /** Tells a step, and whether it was as expected. */
  tell(step: Omit<Step, 'held'>): void;
}

/** `agentgate demo`: the gate's story on a real MCP server. Exit code 1 if anything was not as expected. */
export const registerDemo = (program: Command, run: Run): void => {
  program
    .command('demo')
    .description('see it work: a read, a refused write, a kill, and the evidence of all that')
    .action(run(demo));
};

const demo = async (ctx: CliContext): Promise<number> => {
  const stage = createStage(ctx);
  const [caller, operator, auditor] = await Promise.all([
    connectAs(ctx.home, `agent-${agent}`),
    connectAs(ctx.home, 'operator'),
    connectAs(ctx.home, 'auditor'),
  ]);
  try {
    const evidence = await startReading(ctx, auditor);
    const { session } = await openSession(caller, agent, purpose);
    if (!ctx.json) ctx.out(`\n${ctx.paint.bold('Agent demo')} opens ${session}: “${purpose}”\n`);
    await tellCalls(stage, { caller, operator, session });
    await tellEvidence(stage, evidence.entries, session);
    await evidence.close();
  } finally {
    await Promise.all([caller.close(), operator.close(), auditor.close()]);
  }
  const held = stage.steps.every((s) => s.held);
  if (ctx.json) ctx.out(JSON.stringify({ ok: held, steps: stage.steps }));
  else
    ctx.out(
      held
        ? `\n${ctx.paint.green('All as it should be.')} Next: ${ctx.paint.bold('npx agentgate evidence tail')}\n`
        : `\n${ctx.paint.red('Something was not as it should be.')} Look at: ${ctx.paint.bold('npx agentgate status')}\n`,
    );
  return held ? 0 : 1;
};

const createStage = (ctx: CliContext): Stage => {
  const steps: Step[] = [];
  return {
    ctx,
    steps,
    tell: (step) => {
      const held = step.expected === step.got;
      steps.push({ ...step, held });
      if (ctx.json) return;
      const { paint } = ctx;
      const mark = held ? paint.green('✓') : paint.red('✗');
      const got = held ? paint.bold(step.got) : `${paint.red(step.got)} ${paint.dim(`(expected ${step.expected})`)}`;
      ctx.out(`${mark} ${step.say}\n    ${got}${step.detail === '' ? '' : `  ${paint.dim(step.detail)}`}`);
    },
  };
};

/** The first server of the configuration's example; its tools are named by it. */
const server = 'filesystem';

const tellCalls = async (
  stage: Stage,
  { caller, operator, session }: { caller: Bus; operator: Bus; session: string },
): Promise<void> => {
  const { ctx, tell } = stage;
  const call = (tool: string, args: Record<string, unknown>): Promise<CallReply> =>
    caller.ask(
      agentVerbs.call,
      { v: 1, session, tool: `${server}/${tool}`, arguments: args },
      { subject: agentSubject(agent, 'call') },
    );
  const sandbox = join(ctx.root, 'sandbox');

  const read = await call('read_text_file', { path: join(sandbox, 'welcome.txt') });
  tell({
    say: 'reads sandbox/welcome.txt: a grant allows it, the real MCP server answers',
    expected: 'ok OK',
    got: said(read),
    detail: firstLine(read),
  });

  const write = await call('write_file', { path: '/etc/agentgate-demo', content: 'owned' });
  tell({
    say: 'writes /etc/agentgate-demo: outside of its folder',
    expected: 'denied ARGUMENT_NOT_ALLOWED',
    got: said(write),
    detail: `${write.reason} (rule ${write.rule ?? 'none'})`,
  });

  const killed = await operator.ask(
    operatorVerbs.kill,
    { v: 1, scope: { kind: 'session', id: session }, reason: 'demo: the agent was hijacked' },
    { subject: operatorSubject('operator', 'kill') },
  );
  if (!('epoch' in killed)) throw new CliError(`the kill was refused: ${killed.code}: ${killed.reason}`);
  const points = killed.points
    .map((p) => `${p.service} ${p.confirmed_in_ms === null ? 'silent' : `${p.confirmed_in_ms.toFixed(1)} ms`}`)
    .join(', ');
  tell({
    say: 'the operator kills the session',
    expected: 'contained',
    got: killed.contained ? 'contained' : 'not contained',
    detail: `epoch ${killed.epoch}: ${points}`,
  });

  const after = await call('read_text_file', { path: join(sandbox, 'welcome.txt') });
  tell({ say: 'the same read again', expected: 'killed KILLED_SESSION', got: said(after), detail: after.reason });
};

const said = (reply: CallReply) => `${reply.status} ${reply.code}`;
const firstLine = (reply: CallReply): string => {
  const content = (reply.result as { content?: { text?: string }[] } | undefined)?.content;
  return content?.[0]?.text?.split('\n')[0] ?? reply.reason;
};

const story = [
  'agentgate.session.opened.v1',
  'agentgate.call.decided.v1',
  'agentgate.call.completed.v1',
  'agentgate.call.decided.v1',
  'agentgate.kill.ordered.v1',
  'agentgate.call.decided.v1',
];

/** Reads as an auditor from now on, and verifies with the public keys alone. */
const startReading = async (
  ctx: CliContext,
  auditor: Bus,
): Promise<{ entries: ReadEntry[]; close(): Promise<void> }> => {
  const entries: ReadEntry[] = [];
  const reader = await readEvidence({
    bus: auditor,
    keys: trustOf(ctx.home),
    last: 1,
    onEntry: (entry) => void entries.push(entry),
  });
  return { entries, close: () => reader.close() };
};

const tellEvidence = async (stage: Stage, entries: readonly ReadEntry[], session: string): Promise<void> => {
  const { ctx } = stage;
  const told = () => entries.flatMap(({ entry }) => (entry && isAbout(entry.event, session) ? [entry.event] : []));
  const isWhole = () => {
    const types = told().map((event) => event.type);
    return story.every((type) => types.filter((t) => t === type).length >= story.filter((t) => t === type).length);
  };
  for (const until = Date.now() + evidenceMs; !isWhole() && Date.now() < until; )
    await new Promise((resolve) => setTimeout(resolve, 50));
  const events = told();
  const problems = entries.flatMap((entry) => entry.problems);
  const got =
    problems.length > 0
      ? `${problems.length} entries do not verify: ${problems[0]}`
      : isWhole()
        ? 'in evidence and verified'
        : 'not all of it is in evidence';
  stage.tell({
    say: 'the evidence of all that, read by the auditor and verified with public keys',
    expected: 'in evidence and verified',
    got,
    detail: `${events.length} signed events`,
  });
  if (!ctx.json)
    for (const event of events)
      ctx.out(
        `    ${ctx.paint.dim(event.time.slice(11, 23))} ${event.type.replace(/^agentgate\.|\.v1$/g, '').padEnd(16)} ${ctx.paint.dim(summary(event))}`,
      );
};

const isAbout = (event: EvidenceEvent, session: string): boolean => JSON.stringify(event).includes(session);

const summary = (event: EvidenceEvent): string => {
  const { decision, outcome, code, tool, epoch } = event.data as {
    decision?: { action: string; code: string };
    outcome?: string;
    code?: string;
    tool?: string;
    epoch?: number;
  };
  if (decision) return `${tool ?? ''} ${decision.action} ${decision.code}`;
  if (outcome) return `${outcome} ${code ?? ''}`;
  return epoch === undefined ? event.subject : `epoch ${epoch}`;
};
