import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from '@agentgate/bus';
import { type OpenLease, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';

const person = 'operator';
const watchMs = 1_000;

const timeLeft = (expiresAt: string, now: number): string => {
  const seconds = Math.round((Date.parse(expiresAt) - now) / 1_000);
  return seconds >= 0 ? `${seconds} s left` : `${-seconds} s over`;
};

export const tellLease = ({ paint }: Pick<CliContext, 'paint'>, lease: OpenLease, now: number): string => {
  const color = { intended: paint.dim, active: paint.green, revoking: paint.yellow, irrevocable: paint.red }[
    lease.state
  ];
  const scope = lease.scope === undefined ? '' : `, scope ${visible(lease.scope)}`;
  const whose = lease.person === undefined ? '' : `, for ${visible(lease.person)}`;
  return [
    `${color(lease.state.padEnd(11))} ${lease.lease}`,
    paint.dim(
      `            ${lease.credential}${scope}${whose}, for ${visible(lease.tool)}, ${timeLeft(lease.expires_at, now)}`,
    ),
    ...(lease.problem === undefined ? [] : [`            ${paint.red(visible(lease.problem))}`]),
  ].join('\n');
};

const openLeases = async (bus: Bus, prefix: string | undefined) => {
  const answer = await bus.ask(
    operatorVerbs.leases,
    { v: 1, ...(prefix !== undefined && { prefix }) },
    { subject: operatorSubject(person, 'leases') },
  );
  if (!('leases' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
  return answer;
};

const tellAll = (ctx: CliContext, { leases, more }: Awaited<ReturnType<typeof openLeases>>): string => {
  if (leases.length === 0) return 'no lease is open';
  const rest = more === undefined ? [] : [`and ${more} more`];
  return [...leases.map((lease) => tellLease(ctx, lease, Date.now())), ...rest].join('\n');
};

export const registerLeases = (program: Command, run: Run): void => {
  const leases = program
    .command('leases')
    .description('the credentials that are out now; exit code 2 while one cannot be ended')
    .argument('[prefix]', 'a lease, or the first parts of its name: default/<agent>, default/<agent>/<session> …')
    .option('--watch', 'go on, and show each change')
    .action(
      run(async (ctx, prefix: string | undefined, flags: { watch?: boolean }) =>
        withUser(ctx.home, person, async (bus) => {
          let shown: string | undefined;
          for (;;) {
            const answer = await openLeases(bus, prefix);
            const now = answer.leases
              .map(({ lease, state, expires_at, problem = '' }) => [lease, state, expires_at, problem].join(' '))
              .join();
            if (now !== shown || !flags.watch) ctx.answer(answer, () => tellAll(ctx, answer));
            if (!flags.watch) return answer.leases.some(({ state }) => state === 'irrevocable') ? 2 : 0;
            shown = now;
            await sleep(watchMs);
          }
        }),
      ),
    );
  leases
    .command('revoke')
    .description('end leases now, each proven by a refused use; exit code 2 when one is left')
    .argument('<prefix>', 'a lease, or the first parts of its name')
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .action(
      run(async (ctx, prefix: string, flags: { reason: string }) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs['revoke-leases'],
            { v: 1, prefix, reason: flags.reason },
            { subject: operatorSubject(person, 'revoke-leases') },
          );
          if (!('revoked' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          const { revoked, unproven, failed, ms } = answer;
          ctx.answer(answer, () =>
            [
              `${revoked} ended in ${Math.round(ms)} ms${unproven > 0 ? `, ${unproven} of them such that nothing can prove it` : ''}`,
              ...failed.map(({ lease, problem }) => `${ctx.paint.red('not ended')} ${lease}\n  ${visible(problem)}`),
            ].join('\n'),
          );
          return failed.length > 0 ? 2 : 0;
        }),
      ),
    );
  leases
    .command('resolve')
    .description('say that an irrevocable lease was ended by hand')
    .argument('<lease>')
    .requiredOption('--reason <text>', 'how; it stands in evidence')
    .action(
      run(async (ctx, lease: string, flags: { reason: string }) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs['resolve-lease'],
            { v: 1, lease, reason: flags.reason },
            { subject: operatorSubject(person, 'resolve-lease') },
          );
          if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
          const told = {
            resolved: 'resolved: it is recorded as ended by hand',
            not_irrevocable: 'the broker is not done with it: `leases revoke` ends it',
            not_found: 'no such lease is open',
          };
          ctx.answer(answer, () => told[answer.status]);
          return answer.status === 'resolved' ? 0 : 1;
        }),
      ),
    );
};
