import type { Command } from 'commander';
import { visible } from './commands/approvals.ts';
import type { createContext } from './context.ts';
import { tellError } from './run.ts';

/** As Commander says it for people: `error: `, and a second line where it guesses what was meant. */
const lineOf = (text: string): string =>
  text
    .trimEnd()
    .replace(/^error: /, '')
    .split('\n')
    .map(visible)
    .join(' ');

const fullName = (command: Command): string =>
  command.parent === null ? '' : `${fullName(command.parent)}${command.name()}: `;

/**
 * Under --json, who asked wrongly reads it as every other error: one object on stdout, and nothing beside it. To be set before there are commands,
 * which take it over. The exit code is Commander's or the command's own.
 */
export const tellUsageIn = (program: Command, contextOf: typeof createContext): void => {
  const context = () => contextOf(program.opts());
  program.configureOutput({
    writeErr: (text) => void (context().json || process.stderr.write(text)),
    outputError: (text, write) => (context().json ? tellError(context(), lineOf(text)) : write(text)),
  });
  // A group that was named without a command shows its help as an error.
  program.addHelpText('beforeAll', ({ error, command }) => {
    if (error && context().json) tellError(context(), `${fullName(command)}a command is missing`);
    return '';
  });
};
