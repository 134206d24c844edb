import { type DisclosureScope, type LegalHold, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';

// Operators erase; auditors hold, release and read. Neither can do the other's.

const operator = 'operator';
const auditor = 'auditor';

interface ScopeFlags {
  call?: string;
  session?: string;
  agent?: string;
  tenant?: string;
}
type ReasonFlags = ScopeFlags & { reason: string };

/** The one thing that the command line names. */
export const scopeOf = (event: string | undefined, { call, session, agent, tenant }: ScopeFlags): DisclosureScope => {
  const scopes: DisclosureScope[] = [
    ...(event === undefined ? [] : [{ kind: 'event' as const, id: event }]),
    ...(call === undefined ? [] : [{ kind: 'call' as const, id: call }]),
    ...(session === undefined ? [] : [{ kind: 'session' as const, id: session }]),
    ...(agent === undefined ? [] : [{ kind: 'agent' as const, id: agent, ...(tenant !== undefined && { tenant }) }]),
  ];
  const [scope, ...more] = scopes;
  if (tenant !== undefined && agent === undefined) throw new CliError('--tenant says whose --agent is meant: name one');
  if (!scope || more.length > 0) throw new CliError('name one of: an event, --call, --session, --agent');
  return scope;
};

const told = <T extends object>(answer: T): Exclude<T, { reason: string }> => {
  if ('code' in answer && 'reason' in answer) throw new CliError(`${String(answer.code)}: ${String(answer.reason)}`);
  return answer as Exclude<T, { reason: string }>;
};
const inEvidence = (event: string | undefined) =>
  event === undefined ? 'evidence will say so as soon as it can be written' : `in evidence as ${event}`;
const nameOf = (scope: DisclosureScope) =>
  `${scope.kind} ${scope.kind === 'agent' && scope.tenant !== undefined ? `${scope.tenant}/` : ''}${scope.id}`;

const erase = (ctx: CliContext, event: string | undefined, flags: ReasonFlags): Promise<number> =>
  withUser(ctx.home, operator, async (bus) => {
    const ask = { v: 1 as const, scope: scopeOf(event, flags), reason: flags.reason };
    const answer = told(await bus.ask(operatorVerbs.erase, ask, { subject: operatorSubject(operator, 'erase') }));
    ctx.answer(answer, () => {
      switch (answer.status) {
        case 'erased':
          return `salts and content of ${answer.events} events are gone, ${inEvidence(answer.event)}; every proof is as good as before`;
        case 'held':
          return `${ctx.paint.yellow('nothing was erased')}: held by ${answer.holds.join(', ')}`;
        case 'nothing':
          return `nothing is kept of ${nameOf(ask.scope)}`;
        default:
          return answer.status satisfies never;
      }
    });
    return answer.status === 'held' ? 2 : 0;
  });

const hold = (ctx: CliContext, event: string | undefined, flags: ReasonFlags): Promise<number> =>
  withUser(ctx.home, auditor, async (bus) => {
    const ask = { v: 1 as const, scope: scopeOf(event, flags), reason: flags.reason };
    const answer = told(await bus.ask(operatorVerbs.hold, ask, { subject: operatorSubject(auditor, 'hold') }));
    if (answer.status === 'too_many') throw new CliError('there are too many holds: release some');
    ctx.answer(answer, () => `${answer.hold} holds ${nameOf(ask.scope)}, ${inEvidence(answer.event)}`);
    return 0;
  });

const release = (ctx: CliContext, id: string, { reason }: { reason: string }): Promise<number> =>
  withUser(ctx.home, auditor, async (bus) => {
    const ask = { v: 1 as const, hold: id, reason };
    const answer = told(
      await bus.ask(operatorVerbs['release-hold'], ask, { subject: operatorSubject(auditor, 'release-hold') }),
    );
    if (answer.status === 'not_found') throw new CliError(`no hold is named ${id}`);
    ctx.answer(answer, () => `${id} is released, ${inEvidence(answer.event)}`);
    return 0;
  });

const line = ({ hold, scope, reason, by, at }: LegalHold): string =>
  `${hold}  ${nameOf(scope)}  ${at}  ${by}: ${reason.replace(/[\p{Cc}\p{Cf}]/gu, '·')}`;

const holds = (ctx: CliContext): Promise<number> =>
  withUser(ctx.home, auditor, async (bus) => {
    const answer = told(await bus.ask(operatorVerbs.holds, { v: 1 }, { subject: operatorSubject(auditor, 'holds') }));
    ctx.answer(answer, () => (answer.holds.length === 0 ? 'nothing is held' : answer.holds.map(line).join('\n')));
    return 0;
  });

/** Still JSON: what could turn a terminal's line around, or command it, is escaped. */
const printableJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[\p{Cc}\p{Cf}]/gu, (found) =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );

const disclose = (ctx: CliContext, event: string): Promise<number> =>
  withUser(ctx.home, auditor, async (bus) => {
    const subject = operatorSubject(auditor, 'disclosures');
    const answer = told(await bus.ask(operatorVerbs.disclosures, { v: 1, event }, { subject }));
    ctx.answer(answer, () => {
      if (answer.status !== 'kept')
        return answer.status === 'erased' ? `what opened ${event} was erased` : `nothing is kept of ${event}`;
      return answer.disclosures
        .map(({ field, salt, value }) =>
          [
            `${field}`,
            `  salt   ${salt}`,
            value === undefined ? '  value  not kept: whoever has it can prove it' : `  value  ${printableJson(value)}`,
          ].join('\n'),
        )
        .join('\n');
    });
    return answer.status === 'kept' ? 0 : 1;
  });

const withScope = (command: Command): Command =>
  command
    .argument('[event]', 'evt_…')
    .option('--call <id>', 'everything of this call')
    .option('--session <id>', 'everything of this session')
    .option('--agent <name>', 'everything of this agent')
    .option('--tenant <name>', 'whose agent (default: default)')
    .requiredOption('--reason <text>', 'why; evidence keeps it');

/** `agentgate evidence erase|legal-hold|disclose`: what is kept beside the log to open its digests. */
export const registerErase = (evidence: Command, run: Run): void => {
  withScope(evidence.command('erase'))
    .description(
      'erases salts and kept content for good; proofs stay valid. Exit code 2 where a legal hold prevents it',
    )
    .action(run((ctx, event: string | undefined, flags: ReasonFlags) => erase(ctx, event, flags)));
  const legal = evidence.command('legal-hold').description('what may not be erased');
  withScope(legal.command('add'))
    .description('holds it: nothing of it can be erased until the hold is released')
    .action(run((ctx, event: string | undefined, flags: ReasonFlags) => hold(ctx, event, flags)));
  legal
    .command('list')
    .description('the holds')
    .action(run((ctx) => holds(ctx)));
  legal
    .command('release')
    .description('ends a hold')
    .argument('<hold>', 'hold_…')
    .requiredOption('--reason <text>', 'why; evidence keeps it')
    .action(run((ctx, id: string, flags: { reason: string }) => release(ctx, id, flags)));
  evidence
    .command('disclose')
    .description('what opens an event’s digests; evidence records who asked')
    .argument('<event>', 'evt_…')
    .action(run((ctx, event: string) => disclose(ctx, event)));
};
