import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '@agentgate/bus';
import { type ApproveAnswer, operatorSubject, operatorVerbs, type PendingApproval } from '@agentgate/contracts';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';

const watchMs = 1_000;

/** What shows nothing, or moves what is shown, as its code point: nothing may hide from who decides. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, (char) =>
    char === '\n' ? '\\n' : char === '\t' ? '\\t' : `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );

/** Arguments whole, a line each, the invisible made visible; names of fields, too. */
export const shownArguments = (args: unknown): string[] =>
  JSON.stringify(args, null, 2)
    .split('\n')
    .map((line) => visible(line));

const timeLeft = (expiresAt: string, now: number): string => {
  const seconds = Math.max(0, Math.round((Date.parse(expiresAt) - now) / 1_000));
  return seconds >= 120 ? `${Math.round(seconds / 60)} min` : `${seconds} s`;
};

export const tellApproval = ({ paint }: Pick<CliContext, 'paint'>, one: PendingApproval, now: number): string => {
  const from = Object.entries(one.provenance).map(
    ([pointer, places]) =>
      `  ${visible(pointer)}: ${visible(places.map((place) => (place === 'agent' ? 'nowhere, the agent made it up' : place)).join(', '))}`,
  );
  const rule = one.rule === undefined ? '' : ` (rule ${one.rule})`;
  const granted = one.granted_by.length > 0 ? `, granted by ${one.granted_by.join(', ')}` : '';
  const roles = one.approvers.roles ? `, by ${one.approvers.roles.join(' or ')}` : '';
  return [
    `${paint.bold(one.id)}  ${paint.bold(visible(one.tool))}  ${paint.dim(`${timeLeft(one.expires_at, now)} left`)}`,
    `  agent ${one.tenant}/${one.agent}, ${one.session}, ${one.call}`,
    `  why: ${paint.yellow(visible(one.reason))}${rule}`,
    `  told to do: ${one.purpose === '' ? paint.red('nothing: the session names no purpose') : `“${visible(one.purpose)}”`}`,
    `  does: ${one.labels.join(', ') || 'not known'}${one.hosts.length > 0 ? `; leads to ${visible(one.hosts.join(', '))}` : ''}`,
    ...(one.approvers.min > 1 || roles !== '' ? [`  needs: ${one.approvers.min}${roles}${granted}`] : []),
    '  arguments:',
    ...shownArguments(one.arguments).map((line) => `    ${line}`),
    ...(from.length > 0 ? ['  seen before:', ...from.map((line) => `  ${line}`)] : []),
    one.changed === undefined
      ? paint.dim('  no such call of this agent was granted lately')
      : `  differs from the last one granted: ${one.changed.length === 0 ? 'in nothing' : visible(one.changed.join(', '))}`,
  ].join('\n');
};

interface Flags {
  as: string;
  tenant?: string;
  watch?: boolean;
  reason?: string;
}

const pendingOf = async (bus: Bus, { as, tenant }: Flags) => {
  const answer = await bus.ask(
    operatorVerbs.approvals,
    { v: 1, ...(tenant !== undefined && { tenant }) },
    { subject: operatorSubject(as, 'approvals') },
  );
  if (!('pending' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
  return answer;
};

const tellMore = (more: number | undefined) => (more === undefined ? [] : [`and ${more} more`]);

export const registerApprovals = (program: Command, run: Run): void => {
  program
    .command('approvals')
    .description('what waits for a person')
    .option('--watch', 'go on, and show what comes')
    .option('--tenant <name>', 'of this tenant only')
    .option('--as <person>', 'whose credentials to use', 'approver')
    .action(
      run(async (ctx, flags: Flags) =>
        withUser(ctx.home, flags.as, async (bus) => {
          const first = await pendingOf(bus, flags);
          const tell = (pending: PendingApproval[]) =>
            pending.map((one) => tellApproval(ctx, one, Date.now())).join('\n\n');
          ctx.answer(first, () =>
            first.pending.length === 0 ? 'nothing waits' : [tell(first.pending), ...tellMore(first.more)].join('\n\n'),
          );
          if (!flags.watch) return 0;
          const shown = new Set(first.pending.map(({ id }) => id));
          for (;;) {
            await sleep(watchMs);
            const { pending } = await pendingOf(bus, flags);
            const fresh = pending.filter(({ id }) => !shown.has(id));
            for (const { id } of fresh) shown.add(id);
            if (fresh.length > 0) ctx.answer({ pending: fresh }, () => `\n${tell(fresh)}`);
          }
        }),
      ),
    );
  for (const [verb, does] of [
    ['approve', 'let exactly this call run, once'],
    ['reject', 'refuse it'],
  ] as const)
    program
      .command(verb)
      .description(does)
      .argument('<id>', 'as `approvals` shows it')
      .option('--reason <text>', 'why; it stands in evidence')
      .option('--as <person>', 'whose credentials to use', 'approver')
      .action(
        run(async (ctx, id: string, flags: Flags) =>
          withUser(ctx.home, flags.as, async (bus) => {
            const ask = { v: 1 as const, approval: id, ...(flags.reason !== undefined && { reason: flags.reason }) };
            const answer = await bus.ask(operatorVerbs[verb], ask, { subject: operatorSubject(flags.as, verb) });
            if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
            ctx.answer(answer, () => `${says[answer.status]}: ${id}`);
            return answer.status === (verb === 'approve' ? 'granted' : 'rejected') || answer.status === 'pending_second'
              ? 0
              : 1;
          }),
        ),
      );
};

const says: Record<ApproveAnswer['status'], string> = {
  granted: 'granted',
  rejected: 'rejected',
  expired: 'too late, it has expired',
  voided: 'voided by a kill',
  already_decided: 'already decided',
  pending_second: 'noted; another person has to grant it, too',
};
