import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';

export type Paint = ReturnType<typeof pc.createColors>;

/** What every command is given: where it works and how it speaks. */
export interface CliContext {
  /** The checkout. */
  root: string;
  /** Where the stack keeps its state. */
  home: string;
  json: boolean;
  isTerminal: boolean;
  /** Of the terminal. */
  columns?: number | undefined;
  paint: Paint;
  environment: Record<string, string | undefined>;
  /** One line or more for people, on stdout. */
  out(text: string): void;
  err(text: string): void;
  /** The answer: as JSON for programs, else what `text` makes of it. */
  answer(value: object, text: () => string): void;
}

/** The command cannot do what it was asked; the message is one line for people. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

const root = resolve(fileURLToPath(new URL('../../../', import.meta.url)));

export const createContext = (flags: { home?: string; json?: boolean }): CliContext => {
  const environment = process.env;
  const isTerminal = process.stdout.isTTY === true;
  const home = flags.home ?? environment.AGENTGATE_HOME;
  const json = flags.json ?? false;
  const out = (text: string) => void process.stdout.write(`${text}\n`);
  return {
    root,
    home: home ? resolve(home) : join(root, '.agentgate'),
    json,
    isTerminal,
    columns: isTerminal ? process.stdout.columns : undefined,
    // Colours are for eyes: none in a pipe, whatever the environment (CI, FORCE_COLOR) suggests, nor with NO_COLOR.
    paint: pc.createColors(isTerminal && !environment.NO_COLOR),
    environment,
    out,
    err: (text) => void process.stderr.write(`${text}\n`),
    answer: (value, text) => out(json ? JSON.stringify(value) : text()),
  };
};
