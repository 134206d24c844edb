import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { AgentGateError } from '@agentgate/contracts';
import { ownTenant } from '@agentgate/ground';
import { checkPolicy, createHistory, createReplay, type Finding, type RecordedCall } from '@agentgate/policy-engine';
import { type Command, InvalidArgumentError } from 'commander';
import type { CliContext } from '../context.ts';
import { activeRevision } from '../policy/bundle-file.ts';
import { excepted, explain, type ImaginedCall, imaginedCall, recordedCall, tellExplained } from '../policy/explain.ts';
import { grantLines } from '../policy/grant-lines.ts';
import { reportHtml } from '../policy/replay-html.ts';
import { tellReport } from '../policy/replay-text.ts';
import { readTrialEvents } from '../policy/trial-events.ts';
import {
  configFile,
  isRunning,
  knownAgents,
  liveTools,
  readConfig,
  readText,
  revisionOf,
  startTrial,
  trialWorld,
} from '../policy/trial-policy.ts';
import type { Run } from '../run.ts';
import { visible } from './approvals.ts';

// A policy that is tried before it counts: nothing here changes anything in the gate.

const maxLast = 1_000_000;
const defaultLast = 100_000;
const count = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1 || n > maxLast) throw new InvalidArgumentError(`must be 1 to ${maxLast}`);
  return n;
};
/** A time (RFC 3339), or how long ago: 90m, 36h, 7d. */
const moment = (text: string): number => {
  const [, n, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (n !== undefined && unit !== undefined)
    return Date.now() - Number(n) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 'm' | 'h' | 'd'];
  const at = Date.parse(text);
  if (!/^\d{4}-/.test(text) || Number.isNaN(at))
    throw new InvalidArgumentError('must be a time such as 2026-11-24T00:00:00Z, or how long ago such as 24h');
  return at;
};
const collect = (value: string, before: string[]) => [...before, value];

const registerCheck = (policy: Command, run: Run): void => {
  policy
    .command('check')
    .description('find what is wrong in a policy, and grants that can never match anything')
    .argument('[bundle]', 'a .tar.gz (default: what the configuration says)')
    .option('--config <file>', 'who and which servers there are (default: of the running stack, else agentgate.yaml)')
    .option('--strict', 'tools that no grant reaches count as well')
    .addHelpText(
      'after',
      '\nExit code 0 where nothing was found, 2 where something was, 1 where the policy cannot be loaded.',
    )
    .action(run((ctx, bundle: string | undefined, flags: CheckFlags) => check(ctx, bundle, flags)));
};
interface CheckFlags {
  config?: string;
  strict?: true;
}

const check = async (ctx: CliContext, bundle: string | undefined, flags: CheckFlags): Promise<number> => {
  const file = configFile(ctx, flags.config);
  const config = readConfig(file);
  const lines = grantLines(readText(file));
  const source = bundle === undefined ? file : resolve(bundle);
  const at = (grant: string): string =>
    bundle === undefined && lines.has(grant) ? `${source}:${lines.get(grant)}` : source;
  const revision = await revisionOf(ctx, { bundle }, config);
  const trial = await startTrial(revision);
  await trial.engine.close();
  const tools = await liveTools(ctx).catch((error: unknown) => {
    ctx.err(
      `agentgate: the running stack does not tell its tools (${error instanceof Error ? error.message : 'unknown'})`,
    );
    return undefined;
  });
  const checked = checkPolicy(revision.data, {
    agents: knownAgents(ctx, config),
    servers: Object.keys(config.servers),
    tools,
  });
  const findings = checked.findings.map((finding) => ({ at: at(finding.grant), ...finding }));
  const bad = findings.length > 0 || (flags.strict && checked.unreached.length > 0);
  ctx.answer({ policy: revision.id, source, ...checked, findings }, () =>
    [
      ...findings.map((one) => tellFinding(ctx, one)),
      ...checked.unreached.map((tool) => `${ctx.paint.dim(`no grant reaches ${visible(tool)}`)}`),
      bad
        ? `grants that never decide anything: ${new Set(findings.map(({ grant }) => grant)).size}; tools that nobody may call: ${checked.unreached.length}`
        : `${source}: ${revision.data.grants.list.length} grants, nothing found (tools: ${checked.tools === 'catalogue' ? 'the live catalogue' : 'by the names in the policy'})`,
    ].join('\n'),
  );
  return bad ? 2 : 0;
};
const tellFinding = ({ paint }: CliContext, { at, grant, kind, why }: Finding & { at: string }): string =>
  `${at}: grant ${paint.bold(grant)}: ${paint.yellow(kind.replace('_', ' '))}: ${visible(why)}`;

interface ExplainFlags extends Partial<ImaginedCall> {
  bundle?: string;
  config?: string;
  log?: string;
  args: string;
  tenant: string;
  purpose: string;
  taint: string[];
}

const registerExplain = (policy: Command, run: Run): void => {
  policy
    .command('explain')
    .description('which rules fire for a call, and what would let it pass')
    .argument('[event]', 'a recorded one: evt_… or call_…; or describe one by the options')
    .option('--tool <name>', 'server/tool')
    .option('--args <json>', 'its arguments', '{}')
    .option('--agent <name>')
    .option('--tenant <name>', "the agent's tenant", 'default')
    .option('--purpose <text>', "the session's purpose", '')
    .option('--taint <label>', 'on the session; may be given more than once', collect, [])
    .option('--approved', 'as if a person had said yes')
    .option('--bundle <file>', 'explained by this one (default: the active one, else what the configuration says)')
    .option(
      '--config <file>',
      'whose agents, tools and grants, and then explained by those (default: of the running stack)',
    )
    .option('--log <dir>', "a log's folder to read the event from, in place of the running stack")
    .addHelpText('after', '\nExit code 0 where the call passes, 2 where it does not.')
    .action(
      run(async (ctx, event: string | undefined, flags: ExplainFlags) => {
        const config = readConfig(configFile(ctx, flags.config));
        const active =
          flags.bundle === undefined && flags.config === undefined && isRunning(ctx)
            ? await activeRevision(ctx, 'operator')
            : undefined;
        const revision = active ?? (await revisionOf(ctx, { bundle: flags.bundle }, config));
        const { tool, agent } = flags;
        if (event === undefined && (tool === undefined || agent === undefined))
          throw new AgentGateError('FIELD_INVALID', 'name an event, or --tool and --agent');
        const call =
          event === undefined
            ? await excepted(
                ctx,
                imaginedCall(
                  { ...flags, tool: tool ?? '', agent: agent ?? '', approved: flags.approved ?? false },
                  Date.now(),
                ),
              )
            : await recordedCall(ctx, event, flags.log);
        const told = await explain(call, { revision, world: await trialWorld(ctx, revision, config) });
        ctx.answer(told, () => tellExplained(ctx, told));
        return 'decision' in told.explanation && told.explanation.decision.action === 'allow' ? 0 : 2;
      }),
    );
};

interface ReplayFlags {
  config?: string;
  from?: number;
  to?: number;
  agent?: string;
  last: number;
  log?: string;
  html?: string;
}

const registerReplay = (policy: Command, run: Run): void => {
  policy
    .command('replay')
    .description('decide recorded calls again by another policy, and tell where it would have said something else')
    .argument('[bundle]', 'a .tar.gz (default: what the configuration says)')
    .option('--config <file>', 'whose grants, agents and tools (default: of the running stack, else agentgate.yaml)')
    .option('--from <time>', 'RFC 3339, or how long ago: 24h', moment)
    .option('--to <time>', 'the same', moment)
    .option('--agent <name>', 'only its calls: <agent> or <tenant>/<agent>')
    .option('--last <n>', 'the newest so many of them', count, defaultLast)
    .option('--log <dir>', "a log's folder to read from, in place of the running stack")
    .option('--html <file>', 'write the report there as well')
    .addHelpText('after', '\nExit code 0 where every call would be decided the same, 2 where some would not.')
    .action(run((ctx, bundle: string | undefined, flags: ReplayFlags) => replay(ctx, bundle, flags)));
};

const replay = async (ctx: CliContext, bundle: string | undefined, flags: ReplayFlags): Promise<number> => {
  const config = readConfig(configFile(ctx, flags.config));
  const revision = await revisionOf(ctx, { bundle }, config);
  const [instance, world] = await Promise.all([startTrial(revision), trialWorld(ctx, revision, config)]);
  try {
    const { calls, refused } = await recordedCalls(ctx, flags);
    const trial = createReplay(instance, world);
    for (const call of calls) await trial.take(call);
    const report = { ...(await trial.end()), refused };
    if (flags.html !== undefined) writeFileSync(resolve(flags.html), reportHtml(report, new Date().toISOString()));
    ctx.answer(report, () =>
      [
        tellReport(report, ctx.paint),
        ...(refused > 0 ? [ctx.paint.red(`${refused} entries of evidence cannot be believed and were left out`)] : []),
      ].join('\n'),
    );
    const { denied, held, allowed } = report.changes;
    return denied + held + allowed > 0 ? 2 : 0;
  } finally {
    await instance.engine.close();
  }
};

/** All events are read, for what they say of sessions; the calls that are asked for are kept. */
const recordedCalls = async (
  ctx: CliContext,
  { from = 0, to = Number.POSITIVE_INFINITY, agent, last, log }: ReplayFlags,
) => {
  const history = createHistory();
  let calls: RecordedCall[] = [];
  const isWanted = (call: RecordedCall) =>
    call.tenant !== ownTenant &&
    call.at >= from &&
    call.at <= to &&
    (agent === undefined || [call.agent, `${call.tenant}/${call.agent}`].includes(agent));
  const { refused } = await readTrialEvents(ctx, log, (event) => {
    const call = history.take(event);
    if (!call || !isWanted(call)) return;
    calls.push(call);
    if (calls.length >= 2 * last) calls = calls.slice(-last);
  });
  return { calls: calls.slice(-last), refused };
};

export const registerTrials = (policy: Command, run: Run): void => {
  for (const register of [registerCheck, registerExplain, registerReplay]) register(policy, run);
};
