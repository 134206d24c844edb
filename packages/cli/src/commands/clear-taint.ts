import { type ClearTaintAsk, clearTaintAsk, firstProblem, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { Command } from 'commander';
import { CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';

const person = 'operator';

export interface TaintFlags {
  session?: string;
  agent?: string;
  tenant?: string;
  label: string[];
  reason: string;
}

/** What an operator asked for, checked as the gate would check it. */
export const taintAskOf = ({ session, agent, tenant, label, reason }: TaintFlags): ClearTaintAsk => {
  const parsed = clearTaintAsk.safeParse({
    v: 1,
    ...(session !== undefined && { session }),
    ...(agent !== undefined && { agent }),
    ...(tenant !== undefined && { tenant }),
    ...(label.length > 0 && { labels: label }),
    reason,
  });
  if (!parsed.success) throw new CliError(`${firstProblem(parsed.error)} (name --session, or --agent)`);
  return parsed.data;
};

const ofWhat = ({ session, agent, tenant }: ClearTaintAsk): string =>
  session === undefined
    ? `agent ${agent} of tenant ${tenant ?? 'default'} (its open sessions keep theirs)`
    : `session ${session} and its agent`;

export const registerClearTaint = (session: Command, run: Run): void => {
  session
    .command('clear-taint')
    .description('take off what a session and its agent carry from what they read; it is recorded')
    .option('--session <id>', 'this session, and its agent')
    .option('--agent <name>', 'this agent; its open sessions keep their own')
    .option('--tenant <name>', 'whose they are (default: default)')
    .option(
      '--label <word>',
      'only this label; may be given more than once',
      (word, before: string[]) => [...before, word],
      [],
    )
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .action(
      run(async (ctx, flags: TaintFlags) => {
        const ask = taintAskOf(flags);
        return withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(operatorVerbs['clear-taint'], ask, {
            subject: operatorSubject(person, 'clear-taint'),
          });
          if (!('cleared' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          const what = ofWhat(ask);
          const told = {
            cleared: `cleared ${answer.cleared.join(', ')} from ${what}`,
            not_tainted: `nothing to clear from ${what}`,
            not_found: `not found: ${what}`,
          };
          ctx.answer(answer, () => told[answer.status]);
          return answer.status === 'not_found' ? 1 : 0;
        });
      }),
    );
};
