import type { Bus } from '@agentgate/bus';
import {
  containmentPoint,
  firstProblem,
  type killAsk,
  type liftAnswer,
  limits,
  operatorSubject,
  operatorVerbs,
  type Scope,
  scope,
  toAgentGateError,
} from '@agentgate/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';
import { parseDuration } from './call.ts';
import { folded } from './folded.ts';
import { tellPoint, tellReceipt, tellScope } from './receipt.ts';

const person = 'operator';
const scopeKinds = ['session', 'agent', 'tool', 'tenant', 'global'] as const satisfies readonly Scope['kind'][];
const kinds = 'session, agent, tool, tenant or global';

/** What an operator named, checked as the gate would check it. */
export const scopeOf = (kind: string, id: string | undefined, tenant: string | undefined): Scope => {
  if (!scopeKinds.some((known) => known === kind)) throw new CliError(`${kind}: a scope is ${kinds}`);
  const parsed = scope.safeParse({
    kind,
    ...(id === undefined ? {} : { id }),
    ...(tenant === undefined ? {} : { tenant }),
  });
  if (!parsed.success)
    throw new CliError(
      `${kind}${id === undefined ? '' : ` ${id}`}: ${firstProblem(parsed.error)} (a scope is ${kinds}, and an id for all but global)`,
    );
  return parsed.data;
};

const duration = (text: string): number => {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 1) throw new InvalidArgumentError('must be like 30s, 10m, 2h, 7d');
  return ms;
};

/** As the gate would say, but in the words of whoever types it. */
export const reasonText = (text: string): string => {
  if (text.length < 1 || text.length > limits.reasonLength)
    throw new InvalidArgumentError(`must be of 1 to ${limits.reasonLength} characters`);
  return text;
};

const refused = (answer: object): void => {
  if ('code' in answer && 'reason' in answer) throw new CliError(`${String(answer.code)}: ${String(answer.reason)}`);
};

/** The agent whose session it is, by the word of policy, which owns the sessions. Who is not known is not killed in somebody's stead. */
const agentOfSession = async (
  ctx: CliContext,
  bus: Bus,
  { id, tenant }: Scope & { kind: 'session' },
): Promise<Scope> => {
  const subject = operatorSubject(bus.user, 'session');
  const told = await bus.ask(operatorVerbs.session, { v: 1, session: id }, { subject });
  if (!('agent' in told)) throw new CliError(`nothing was killed: ${told.code}: ${told.reason}`);
  if (tenant !== undefined && tenant !== told.tenant)
    throw new CliError(`nothing was killed: session ${id} is not of tenant ${tenant}`);
  if (!ctx.json) ctx.out(`session ${id} is of agent ${told.agent} of tenant ${told.tenant}`);
  return { kind: 'agent', id: told.agent, tenant: told.tenant };
};

export type ToldReceipt = Extract<z.infer<(typeof operatorVerbs.kill)['answer']>, { contained: boolean }>;

/** The order may have been written before its answer was lost. */
const unsure = 'whether the order stands is not known: `kills` lists what does, and the same kill again is safe';

/** Orders a kill and hands back its receipt. Throws CliError where the order is refused, or where it is not known whether it stands. */
export const askKill = async (
  bus: Bus,
  ask: z.infer<typeof killAsk>,
  onProgress: (note: unknown) => void = () => {},
): Promise<ToldReceipt> => {
  const receipt = await bus
    .ask(operatorVerbs.kill, ask, { subject: operatorSubject(bus.user, 'kill'), onProgress })
    .catch((cause: unknown) => {
      const { code, message } = toAgentGateError(cause);
      throw new CliError(`${code}: ${message}; ${unsure}`, { cause });
    });
  if (!('contained' in receipt))
    throw new CliError(
      `${receipt.code}: ${visible(receipt.reason)}${receipt.status === 'unavailable' ? `; ${unsure}` : ''}`,
    );
  return receipt;
};

/** Orders a kill and tells of each point as it confirms; then the receipt. Resolves with the exit code. */
export const orderKill = async (ctx: CliContext, bus: Bus, ask: z.infer<typeof killAsk>): Promise<number> => {
  const told = new Set<string>();
  const receipt = await askKill(bus, ask, (note) => {
    const point = containmentPoint.safeParse(note);
    if (!point.success || ctx.json) return;
    told.add(point.data.instance);
    ctx.out(tellPoint(ctx, point.data));
  });
  ctx.answer(receipt, () =>
    tellReceipt(ctx, { ...receipt, points: receipt.points.filter((p) => !told.has(p.instance)) }),
  );
  return receipt.contained ? 0 : 2;
};

export const registerKill = (program: Command, run: Run): void => {
  program
    .command('kill')
    .description('stop everything in a scope, now; prints the receipt')
    .argument('<kind>', kinds)
    .argument('[id]', 'of the session, agent, tool or tenant')
    .requiredOption('--reason <text>', 'why; it stands in evidence', reasonText)
    .option('--tenant <name>', 'of the agent or tool')
    .option('--all-of-agent', 'with a session: the agent whose it is, with all of its sessions')
    .option('--expires-in <duration>', 'end by itself after, e.g. 10m', duration)
    .addHelpText(
      'after',
      '\nExit code 0 where it is contained, 2 where the order stands but not every point confirmed, else 1.',
    )
    .action(
      run(
        async (
          ctx,
          kind: string,
          id: string | undefined,
          flags: { reason: string; tenant?: string; expiresIn?: number; allOfAgent?: boolean },
        ) => {
          const what = scopeOf(kind, id, flags.tenant);
          if (flags.allOfAgent && what.kind !== 'session')
            throw new CliError(`${kind}: --all-of-agent goes with a session; nothing was killed`);
          return withUser(ctx.home, person, async (bus) => {
            const ask = {
              v: 1 as const,
              scope: flags.allOfAgent && what.kind === 'session' ? await agentOfSession(ctx, bus, what) : what,
              reason: flags.reason,
              ...(flags.expiresIn === undefined ? {} : { expires_in_ms: flags.expiresIn }),
            };
            return orderKill(ctx, bus, ask);
          });
        },
      ),
    );
};

export const registerLift = (program: Command, run: Run): void => {
  program
    .command('lift')
    .description('end a kill')
    .argument('<kind>', kinds)
    .argument('[id]', 'as it was killed')
    .requiredOption('--reason <text>', 'why; it stands in evidence', reasonText)
    .option('--tenant <name>', 'of the agent or tool')
    .option('--as <operator>', 'whose credentials to use', person)
    .action(
      run(async (ctx, kind: string, id: string | undefined, flags: { reason: string; tenant?: string; as: string }) => {
        const what = scopeOf(kind, id, flags.tenant);
        return withUser(ctx.home, flags.as, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs.lift,
            { v: 1, scope: what, reason: flags.reason },
            { subject: operatorSubject(flags.as, 'lift') },
          );
          refused(answer);
          ctx.answer(
            answer,
            () => `${'status' in answer ? says[answer.status as LiftStatus] : ''}: ${tellScope(what)}`,
          );
          return answer.status === 'lifted' ? 0 : 1;
        });
      }),
    );
};

type LiftStatus = z.infer<typeof liftAnswer>['status'];
const says: Record<LiftStatus, string> = {
  lifted: 'lifted',
  not_killed: 'not killed',
  pending_second: 'noted; a second operator has to lift it, too, within 5 minutes',
};

/** Throws CliError where they cannot be told. */
export const askKills = async (bus: Bus) => {
  const answer = await bus.ask(operatorVerbs.kills, { v: 1 }, { subject: operatorSubject(bus.user, 'kills') });
  if (!('kills' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
  return answer;
};

/** The newest; beyond it a terminal shows nothing but how it scrolls. */
const killsNamed = 50;

export const registerKills = (program: Command, run: Run): void => {
  program
    .command('kills')
    .description('list the kills that stand')
    .action(
      run(async (ctx) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await askKills(bus);
          const told = answer.kills.slice(0, killsNamed);
          const more = answer.kills.length - told.length;
          const line = ({ scope, epoch, by, at, expires_at, reason }: (typeof answer.kills)[number]) =>
            [
              ctx.paint.bold(tellScope(scope)),
              `  ${folded(visible(reason), 2, ctx.columns)}`,
              ctx.paint.dim(`  epoch ${epoch}, by ${visible(by)}, ${at}`),
              ...(expires_at === undefined ? [] : [ctx.paint.dim(`  ends by itself ${expires_at}`)]),
            ].join('\n');
          ctx.answer(answer, () =>
            answer.kills.length === 0
              ? 'no kill stands'
              : [...told.map(line), ...(more > 0 ? [`and ${more} older ones (--json names all)`] : [])].join('\n'),
          );
          return 0;
        }),
      ),
    );
};
