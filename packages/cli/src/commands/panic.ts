import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { type Bus, connectBus } from '@agentgate/bus';
import { nameInCreds } from '@agentgate/ground';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { connectAs } from '../stack.ts';
import { orderKill, reasonText } from './kill.ts';

interface Flags {
  yes?: boolean;
  reason: string;
  creds?: string;
  nats: string;
}

/** The operator's credentials alone are enough, from any machine; without them, those of the stack in this home. */
const connectOperator = async ({ home }: CliContext, { creds, nats }: Flags): Promise<Bus> => {
  if (creds === undefined) return connectAs(home, 'operator');
  const text = readFileSync(creds, 'utf8');
  return connectBus({ servers: nats, creds: text, user: await nameInCreds(text), instance: 'panic' });
};

const isSure = async ({ isTerminal, paint }: CliContext): Promise<boolean> => {
  if (!isTerminal || !process.stdin.isTTY) throw new CliError('nobody can be asked here: say --yes');
  const asked = createInterface({ input: process.stdin, output: process.stdout });
  const said = await asked.question(`${paint.red(paint.bold('Stop every agent of every tenant, now?'))} type yes: `);
  asked.close();
  return said.trim() === 'yes';
};

export const registerPanic = (program: Command, run: Run): void => {
  program
    .command('panic')
    .description('stop everything, everywhere: one question, then a global kill')
    .option('--yes', 'do not ask')
    .option('--reason <text>', 'why; it stands in evidence', reasonText, 'panic')
    .option('--creds <file>', 'an operator’s credentials, where no stack of this machine is meant')
    .option('--nats <url>', 'with --creds: where NATS is', 'nats://127.0.0.1:4222')
    .action(
      run(async (ctx, flags: Flags) => {
        if (!flags.yes && !(await isSure(ctx))) {
          ctx.err('nothing was stopped');
          return 1;
        }
        const bus = await connectOperator(ctx, flags);
        try {
          return await orderKill(ctx, bus, { v: 1, scope: { kind: 'global' }, reason: flags.reason });
        } finally {
          await bus.close();
        }
      }),
    );
};
