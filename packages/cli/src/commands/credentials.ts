import { join } from 'node:path';
import { operatorSubject, operatorVerbs, type TestCredentialAnswer } from '@agentgate/contracts';
import { rotateJwtKey } from '@agentgate/ground';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';
import { parseDuration } from './call.ts';

const person = 'operator';

const says: Record<TestCredentialAnswer['steps'][number]['step'], string> = {
  mint: 'made',
  use: 'is taken',
  revoke: 'ended',
  refused: 'is refused',
};

export const tellTest = ({ paint }: Pick<CliContext, 'paint'>, { ok, steps }: TestCredentialAnswer): string => {
  const mark = { ok: paint.green('yes'), failed: paint.red('no '), unprovable: paint.yellow('?  ') };
  const lines = steps.map(({ step, status, ms, detail }) =>
    `${mark[status]} ${says[step].padEnd(11)} ${`${ms.toFixed(1)} ms`.padStart(10)}  ${paint.dim(visible(detail))}`.trimEnd(),
  );
  return [...lines, ok ? paint.green('it works') : paint.red('it does not work as it should')].join('\n');
};

export const registerCredentials = (program: Command, run: Run): void => {
  const credentials = program.command('credentials').description('where leases come from');
  credentials
    .command('test')
    .description('make a lease of a credential, use it, end it, and see it refused')
    .argument('<name>', 'as agentgate.yaml names it')
    .action(
      run(async (ctx, credential: string) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs['test-credential'],
            { v: 1, credential },
            { subject: operatorSubject(person, 'test-credential') },
          );
          if (!('steps' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          ctx.answer(answer, () => tellTest(ctx, answer));
          return answer.ok ? 0 : 1;
        }),
      ),
    );
  credentials
    .command('rotate')
    .description(
      'a new key for JWT credentials: published now, signing later, the old one published until its tokens are over',
    )
    .option('--in <duration>', 'when the new key begins to sign, so that verifiers know it before', '10m')
    .action(
      run(async (ctx, flags: { in: string }) => {
        const leadMs = parseDuration(flags.in);
        if (leadMs === undefined) throw new CliError('--in is a duration, such as 10m');
        const { from } = rotateJwtKey(join(ctx.home, 'keys', 'jwt.seed'), leadMs, Date.now());
        ctx.answer({ signs_from: from }, () => `the new key is published now and signs from ${from}`);
        return 0;
      }),
    );
};
