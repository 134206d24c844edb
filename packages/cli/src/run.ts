import { AgentGateError, ConfigError } from '@agentgate/contracts';
import { GroundError } from '@agentgate/ground';
import { WitnessError } from '@agentgate/witness';
import type { Command } from 'commander';
import { visible } from './commands/approvals.ts';
import { type CliContext, CliError, type createContext } from './context.ts';

/** A command's work: its arguments, then its options, as the command declares them; resolves to the exit code. */
type Work = (ctx: CliContext, ...args: never[]) => Promise<number>;
export type Run = (work: Work) => (...args: unknown[]) => Promise<void>;

const lineByLine = (text: string): string => text.split('\n').map(visible).join('\n');

/**
 * The one line that a person needs to read of an error. Only what nobody foresaw shows its stack. It may quote what an attacker chose, and a
 * service's word has no lines of its own.
 */
const lineOf = (error: unknown): string =>
  error instanceof AgentGateError ? visible(`${error.code}: ${error.message}`) : lineByLine(textOf(error));
const textOf = (error: unknown): string => {
  if ([CliError, GroundError, ConfigError, WitnessError].some((known) => error instanceof known))
    return (error as Error).message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
};

/** Programs read it where they read answers. */
export const tellError = (ctx: Pick<CliContext, 'json' | 'out' | 'err'>, line: string): void =>
  ctx.json ? ctx.out(JSON.stringify({ error: line })) : ctx.err(`agentgate: ${line}`);

/** Gives each command its context, tells errors in one line, and sets the exit code. */
export const runIn =
  (program: Command, contextOf: typeof createContext): Run =>
  (work) =>
  async (...args) => {
    // Commander adds the command itself as last argument.
    const ctx = contextOf(program.opts());
    try {
      process.exitCode = await work(ctx, ...(args.slice(0, -1) as never[]));
    } catch (error) {
      process.exitCode = 1;
      tellError(ctx, lineOf(error));
    }
  };
