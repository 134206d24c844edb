import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Run } from '../run.ts';
import { untilSignal } from '../until-signal.ts';
import type { LogFormat } from './log-lines.ts';
import { highestBase } from './stack-ports.ts';
import { up } from './up.ts';

const portBase = (text: string): number => {
  const base = Number(text);
  if (!Number.isInteger(base) || base < 1024 || base > highestBase)
    throw new InvalidArgumentError(`must be a number from 1024 to ${highestBase}`);
  return base;
};

export const registerUp = (program: Command, run: Run): void => {
  program
    .command('up')
    .description('start NATS, Redis and every service, and keep them running until Ctrl-C')
    .option('--config <file>', 'the configuration (default: agentgate.yaml)')
    .option('--port-base <n>', 'use the ports from this number on, so that stacks run side by side', portBase)
    .addOption(
      new Option('--log-format <format>', 'how logs are shown (default: pretty on a terminal, else json)').choices([
        'pretty',
        'json',
      ]),
    )
    .addOption(
      new Option('--log-level <level>', 'what services log')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .action(
      run(
        async (
          ctx,
          {
            config,
            portBase,
            logFormat,
            logLevel,
          }: { config?: string; portBase?: number; logFormat?: LogFormat; logLevel: string },
        ) => {
          await up(
            ctx,
            {
              logLevel,
              ...(config === undefined ? {} : { config }),
              ...(portBase === undefined ? {} : { portBase }),
              ...(logFormat === undefined ? {} : { logFormat }),
            },
            untilSignal(),
          );
          return 0;
        },
      ),
    );
};
