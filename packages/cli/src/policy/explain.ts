import { type Decision, toolName } from '@agentgate/contracts';
import {
  askedOf,
  createFactFinder,
  createHistory,
  type Explanation,
  explainCall,
  type Gap,
  gapsOf,
  inputOfRecorded,
  isSettledElsewhere,
  nothingRemembered,
  prepareWhere,
  type RecordedCall,
  type Revision,
  type TrialWorld,
} from '@agentgate/policy-engine';
import { visible } from '../commands/approvals.ts';
import { type CliContext, CliError } from '../context.ts';
import { askAs } from './ask.ts';
import { gapName } from './replay-text.ts';
import { readTrialEvents } from './trial-events.ts';
import { compiledOf, isRunning } from './trial-policy.ts';

export interface Explained {
  policy: { revision: string; digest: string };
  call: { tool: string; tenant: string; agent: string; event?: string; arguments?: unknown };
  /** What was decided then, and by which revision; only of a recorded call. */
  recorded?: { decision: Decision; policy?: string; settled_elsewhere: boolean };
  /** What evidence does not hold of what this revision looks at. */
  gaps: Gap[];
  explanation: Explanation | { fault: string };
}

/** The recorded call of an event or a call's id, with its session as it stood then. */
export const recordedCall = async (ctx: CliContext, id: string, log: string | undefined): Promise<RecordedCall> => {
  const history = createHistory();
  let found: RecordedCall | undefined;
  await readTrialEvents(ctx, log, (event) => {
    const call = history.take(event);
    if (call && (call.event === id || call.call === id)) found = call;
  });
  if (!found) throw new CliError(`no call.decided of evidence is ${id}`);
  return found;
};

export interface ImaginedCall {
  tool: string;
  args: string;
  agent: string;
  tenant: string;
  purpose: string;
  taint: string[];
  approved: boolean;
}

/** A call that nobody made: in a session of its own, which saw nothing yet. */
export const imaginedCall = (flags: ImaginedCall, now: number): RecordedCall => {
  const { tool, agent, tenant, purpose, taint } = flags;
  if (!toolName.safeParse(tool).success) throw new CliError('--tool: must be <server>/<tool>');
  return {
    event: '',
    at: now,
    tenant,
    agent,
    session: 'ses_0000000000',
    call: 'call_0000000000',
    tool,
    decision: { action: 'deny', code: 'INTERNAL', reason: '', obligations: {} },
    arguments: argumentsOf(flags.args),
    redacted: [],
    approval: flags.approved ? { granted: true, by: 'somebody', at: now } : null,
    facts: {
      tenant,
      agent,
      openedAt: now,
      expiresAt: Number.MAX_SAFE_INTEGER,
      purpose,
      held: false,
      calls: 1,
      denied: 0,
      taint: { session: taint, agent: [] },
    },
    opened: true,
    remembers: false,
  };
};

/** With the exception that stands for it in the running stack, as the gate would find it. */
export const excepted = async (ctx: CliContext, call: RecordedCall): Promise<RecordedCall> => {
  if (!isRunning(ctx)) return call;
  const { exceptions } = await askAs(ctx, 'operator', 'policy-exceptions', { v: 1 });
  const found = exceptions.find(
    ({ tenant, agent, tools, where }) =>
      tenant === call.tenant &&
      agent === call.agent &&
      tools.includes(call.tool) &&
      prepareWhere(where ?? {})(call.arguments ?? {}).state === 'holds',
  );
  return found ? { ...call, exception: { id: found.id, owner: found.owner, until: found.until } } : call;
};

const argumentsOf = (json: string): Record<string, unknown> => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw new CliError('--args: is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new CliError('--args: must be a JSON object');
  return parsed as Record<string, unknown>;
};

export const explain = async (
  call: RecordedCall,
  { revision, world }: { revision: Revision; world: TrialWorld },
): Promise<Explained> => {
  const { gate } = revision.data;
  const finder = createFactFinder({
    tools: gate.tools,
    policy: { ...gate.policy, secrets: {} },
    secrets: [],
    memory: nothingRemembered,
  });
  const [found] = await finder.find([askedOf(call, world)]);
  if (!found) throw new CliError('nothing could be found out about the call');
  const { policy, module } = await compiledOf(revision);
  const explanation = await explainCall(policy, { module, input: inputOfRecorded(call, found, world) });
  const { tool, tenant, agent, event, decision } = call;
  return {
    policy: revision.id,
    call: {
      tool,
      tenant,
      agent,
      ...(event !== '' && { event }),
      ...(call.arguments && { arguments: call.arguments }),
    },
    ...(event !== '' && {
      recorded: {
        decision,
        ...(call.policy !== undefined && { policy: call.policy }),
        settled_elsewhere: isSettledElsewhere(decision),
      },
    }),
    gaps: gapsOf(call, { data: revision.data }, world),
    explanation,
  };
};

const signs = { holds: '✓', fails: '✗', unclear: '?' } as const;

export const tellExplained = ({ paint }: Pick<CliContext, 'paint'>, told: Explained): string => {
  const { call, policy, recorded, gaps, explanation } = told;
  const lines = [`${paint.bold(visible(call.tool))} by agent ${call.agent} of tenant ${call.tenant}`];
  if (recorded) {
    const { decision } = recorded;
    lines.push(
      `  then: ${decision.action} ${decision.code}${decision.rule === undefined ? '' : `, rule ${visible(decision.rule)}`} (policy ${recorded.policy ?? 'was not asked'})`,
      `        ${visible(decision.reason)}`,
    );
    if (recorded.settled_elsewhere)
      lines.push(`        ${paint.yellow('policy did not decide this: what follows is what it would have said')}`);
    if (recorded.policy !== undefined && recorded.policy !== policy.revision)
      lines.push(`  ${paint.yellow(`explained by ${policy.revision}, which is another policy`)}`);
  }
  for (const gap of gaps) lines.push(`  ${paint.yellow(`not as it was: ${gapName(gap)}`)}`);
  if ('fault' in explanation) return [...lines, `  denied: ${paint.red(visible(explanation.fault))}`].join('\n');
  const { decision, grants, packs, exception, remedies } = explanation;
  const color = { allow: paint.green, deny: paint.red, require_approval: paint.yellow }[decision.action];
  lines.push(
    `  ${color(`${decision.action} ${decision.code}`)}${decision.rule === undefined ? '' : `  rule ${visible(decision.rule)}`}`,
    `  ${visible(decision.reason)}`,
    grants.length === 0
      ? '  no grant is about this agent and this tool'
      : '  grants that are about it, in the order of weight:',
    ...grants.map(({ id, effect, state, pointer, condition, why }) => {
      const because = pointer === undefined ? '' : `: ${visible(pointer)} ${condition}, ${visible(why ?? '')}`;
      return `    ${signs[state]} ${id} (${effect}) ${state}${because}`;
    }),
    ...(packs.length > 0 ? ['  packs that said something:'] : []),
    ...packs.map(({ rule, code, reason }) => `    ${visible(rule ?? code)}: ${visible(reason)}`),
    ...(exception ? [`  exception ${exception.id} covers it until ${exception.until}`] : []),
    ...(remedies.length > 0 ? ['  what would let it pass:', ...remedies.map((one) => `    - ${visible(one)}`)] : []),
  );
  return lines.join('\n');
};
