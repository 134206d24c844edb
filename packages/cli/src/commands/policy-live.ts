import { setTimeout } from 'node:timers/promises';
import {
  exceptionLimits,
  firstProblem,
  type PolicyDiffAnswer,
  type PolicyException,
  policyExceptAsk,
  type ShadowTotals,
  type ShadowVerdict,
} from '@agentgate/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import { askAs } from '../policy/ask.ts';
import type { Run } from '../run.ts';
import { visible } from './approvals.ts';

// What decides beside the active policy without effect, and what an operator lets pass for a while.

const operator = 'operator';
const shadowed = (text: string): number | null => {
  if (text === 'off') return null;
  const number = text === 'config' ? 0 : Number(text);
  if (!Number.isSafeInteger(number) || number < 0)
    throw new InvalidArgumentError('must be a pushed version, config, or off');
  return number;
};
const nameOf = (version: number): string => (version === 0 ? 'agentgate.yaml' : `version ${version}`);

const registerShadow = (policy: Command, run: Run): void => {
  policy
    .command('shadow')
    .description('have another policy decide beside the active one, without effect')
    .argument('<version>', 'as it was pushed; config for what agentgate.yaml says; off', shadowed)
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .option('--as <person>', 'whose credentials to use: an operator or an engineer', operator)
    .action(
      run(async (ctx, version: number | null, flags: { reason: string; as: string }) => {
        const answer = await askAs(ctx, flags.as, 'policy-shadow', { v: 1, version, reason: flags.reason });
        ctx.answer(answer, () =>
          answer.status === 'off'
            ? 'no policy decides in the shadow'
            : `${nameOf(answer.version ?? 0)} decides in the shadow: agentgate policy diff --follow`,
        );
        return 0;
      }),
    );
};

const verdict = ({ action, code, rule }: ShadowVerdict): string =>
  `${action} ${code}${rule === undefined ? '' : ` (${visible(rule)})`}`;

const sumOf = (all: ShadowTotals[], key: 'decided' | 'differed' | 'failed' | 'dropped'): number =>
  all.reduce((sum, each) => sum + each[key], 0);

const tellTotals = ({ paint }: CliContext, { shadow, replicas }: PolicyDiffAnswer): string => {
  if (!shadow) return 'no policy decides in the shadow';
  const all = replicas.map(({ totals }) => totals);
  const [differed, failed, dropped] = (['differed', 'failed', 'dropped'] as const).map((key) => sumOf(all, key));
  const kinds = new Map<string, number>();
  for (const { active, shadow, count } of all.flatMap(({ kinds }) => kinds)) {
    const key = `${verdict(active)} → ${verdict(shadow)}`;
    kinds.set(key, (kinds.get(key) ?? 0) + count);
  }
  return [
    `${paint.bold(nameOf(shadow.version ?? 0))} in the shadow since ${shadow.at}, by ${shadow.by}: ${visible(shadow.reason)}`,
    `  ${sumOf(all, 'decided')} calls decided, ${differed} otherwise than the active policy`,
    ...(failed ? [`  ${paint.yellow(`${failed} calls that it gave no decision for`)}`] : []),
    ...(dropped ? [`  ${paint.yellow(`${dropped} calls that it was not asked about: too many waited`)}`] : []),
    ...[...kinds].sort(([, a], [, b]) => b - a).map(([kind, count]) => `  ${String(count).padStart(6)}  ${kind}`),
    ...replicas
      .filter(({ state }) => state !== 'on')
      .map(({ instance, state, problem }) =>
        paint.red(
          `  policy ${instance}: ${state.replace('_', ' ')}${problem === undefined ? '' : `: ${visible(problem)}`}`,
        ),
      ),
  ].join('\n');
};

const tellDifferences = ({ paint }: CliContext, { differences, missed }: PolicyDiffAnswer): string[] => [
  ...(missed > 0 ? [paint.yellow(`${missed} older differences are not kept`)] : []),
  ...differences.map(
    ({ at, call, active, shadow, late_facts }) =>
      `${at}  ${call}  ${verdict(active)} → ${paint.bold(verdict(shadow))}${late_facts ? paint.dim('  (by facts read after the call)') : ''}`,
  ),
];

const followMs = 1_000;

const diff = async (ctx: CliContext, { follow, as }: { follow?: true; as: string }): Promise<number> => {
  let answer = await askAs(ctx, as, 'policy-diff', { v: 1 });
  if (!follow) {
    ctx.answer(answer, () => [...tellDifferences(ctx, answer), tellTotals(ctx, answer)].join('\n'));
    return sumOf(
      answer.replicas.map(({ totals }) => totals),
      'differed',
    ) > 0
      ? 2
      : 0;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  ctx.err(tellTotals(ctx, answer));
  while (!stop.signal.aborted) {
    if (ctx.json) for (const each of answer.differences) ctx.out(JSON.stringify(each));
    else for (const line of tellDifferences(ctx, answer)) ctx.out(line);
    await setTimeout(followMs, undefined, { signal: stop.signal }).catch(() => {});
    if (stop.signal.aborted) break;
    const { after } = answer;
    answer = await askAs(ctx, as, 'policy-diff', { v: 1, after }).catch((error: unknown) => {
      // Whoever watches goes on watching when the gate is started anew.
      ctx.err(`agentgate: ${error instanceof Error ? error.message : 'the gate did not answer'}`);
      return { ...answer, differences: [], missed: 0 };
    });
  }
  ctx.err(tellTotals(ctx, answer));
  return 0;
};

const registerDiff = (policy: Command, run: Run): void => {
  policy
    .command('diff')
    .description('where the policy in the shadow says something else than the active one')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('--as <person>', 'whose credentials to use: an operator or an engineer', operator)
    .addHelpText(
      'after',
      '\nExit code 2 where they differ. Of a call nothing is kept but its id: agentgate evidence show <call>.',
    )
    .action(run((ctx, flags: { follow?: true; as: string }) => diff(ctx, flags)));
};

/** `10m`, `36h`, `7d`, `90s`. */
const duration = (text: string): number => {
  const [, n, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(n) * { s: 1, m: 60, h: 3_600, d: 86_400 }[(unit ?? 's') as 's' | 'm' | 'h' | 'd'];
  if (n === undefined || seconds < exceptionLimits.minS || seconds > exceptionLimits.maxS)
    throw new InvalidArgumentError('must be 10s to 7d, such as 10m or 36h');
  return seconds;
};
const collect = (value: string, before: string[]) => [...before, value];

const tellException = ({ paint }: CliContext, one: PolicyException, now: number): string => {
  const left = Math.max(0, Math.round((Date.parse(one.until) - now) / 1000));
  const where = one.where ? ` where ${visible(JSON.stringify(one.where))}` : '';
  return [
    `${paint.bold(one.id)}  agent ${one.tenant}/${one.agent} may call ${one.tools.map(visible).join(', ')}${where}`,
    `  until ${one.until} (${left >= 120 ? `${Math.round(left / 60)} min` : `${left} s`} left); ${visible(one.owner)} answers for it; made by ${one.by}: ${visible(one.reason)}`,
  ].join('\n');
};

interface AddFlags {
  agent: string;
  tenant: string;
  tool: string[];
  where?: string;
  for: number;
  owner?: string;
  reason: string;
  as: string;
}

const exceptionAsk = ({ agent, tenant, tool, where, owner, reason, for: for_s }: AddFlags) => {
  let conditions: unknown;
  try {
    conditions = where === undefined ? undefined : JSON.parse(where);
  } catch {
    throw new CliError('--where: is not JSON');
  }
  const parsed = policyExceptAsk.safeParse({
    v: 1,
    tenant,
    agent,
    tools: tool,
    ...(conditions !== undefined && { where: conditions }),
    ...(owner !== undefined && { owner }),
    reason,
    for_s,
  });
  if (!parsed.success) throw new CliError(firstProblem(parsed.error));
  return parsed.data;
};

const registerExceptions = (policy: Command, run: Run): void => {
  const except = policy
    .command('except')
    .description('let an agent call a tool for a while, where no grant lets it; nothing that denies is overridden');
  except
    .command('add')
    .description('make an exception; it ends by itself')
    .requiredOption('--agent <name>', 'whom it is for')
    .option('--tenant <name>', "the agent's tenant", 'default')
    .requiredOption('--tool <name>', 'server/tool, in full; may be given more than once', collect, [])
    .option('--where <json>', 'conditions on arguments, as in a grant: {"/path":{"under":"/srv"}}')
    .requiredOption('--for <time>', 'how long: 10m, 36h, 7d at most', duration)
    .option('--owner <name>', 'who answers for it (default: whoever makes it)')
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .option('--as <operator>', 'whose credentials to use', operator)
    .action(
      run(async (ctx, flags: AddFlags) => {
        const answer = await askAs(ctx, flags.as, 'policy-except', exceptionAsk(flags));
        const { exception } = answer;
        ctx.answer(answer, () =>
          exception
            ? tellException(ctx, exception, Date.now())
            : 'noted; a second operator has to ask the same within 5 minutes',
        );
        return 0;
      }),
    );
  except
    .command('list')
    .description('the exceptions that stand')
    .option('--as <person>', 'whose credentials to use', operator)
    .action(
      run(async (ctx, flags: { as: string }) => {
        const { exceptions } = await askAs(ctx, flags.as, 'policy-exceptions', { v: 1 });
        ctx.answer({ exceptions }, () =>
          exceptions.length === 0
            ? 'no exception stands'
            : exceptions.map((one) => tellException(ctx, one, Date.now())).join('\n'),
        );
        return 0;
      }),
    );
  except
    .command('end')
    .description('end an exception before its time; every replica knows within three seconds')
    .argument('<id>', 'exc_…')
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .option('--as <operator>', 'whose credentials to use', operator)
    .action(
      run(async (ctx, exception: string, flags: { reason: string; as: string }) => {
        const answer = await askAs(ctx, flags.as, 'policy-except-end', { v: 1, exception, reason: flags.reason });
        ctx.answer(answer, () =>
          answer.status === 'ended' ? `${exception} is over` : `no exception ${exception} stands`,
        );
        return answer.status === 'ended' ? 0 : 1;
      }),
    );
};

export const registerLive = (policy: Command, run: Run): void => {
  for (const register of [registerShadow, registerDiff, registerExceptions]) register(policy, run);
};
