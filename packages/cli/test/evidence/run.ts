import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Command } from 'commander';
import pc from 'picocolors';
import type { Files } from '../../../evidence/test/verify/log-maker.ts';
import type { CliContext } from '../../src/context.ts';
import type { Run } from '../../src/run.ts';

export interface Ran {
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Runs commands as the command line does, in a home in which nothing runs: only what is given can help. */
export const runnerOf =
  (
    register: (program: Command, run: Run) => void,
    environment: CliContext['environment'] = {},
    home = join(tmpdir(), 'agentgate-no-home'),
  ) =>
  async (...args: string[]): Promise<Ran> => {
    const json = args.includes('--json');
    const told = { stdout: '', stderr: '' };
    const out = (text: string) => {
      told.stdout += `${text}\n`;
    };
    const ctx: CliContext = {
      root: tmpdir(),
      home,
      json,
      isTerminal: false,
      environment,
      paint: pc.createColors(false),
      out,
      err: (text) => {
        told.stderr += `${text}\n`;
      },
      answer: (value, text) => out(json ? JSON.stringify(value) : text()),
    };
    let code: number | undefined;
    const program = new Command();
    register(program, (work) => async (...given) => {
      code = await work(ctx, ...(given.slice(0, -1) as never[]));
    });
    await program.parseAsync(
      args.filter((arg) => arg !== '--json'),
      { from: 'user' },
    );
    return { code, ...told };
  };

export const workFolder = (): string => mkdtempSync(join(tmpdir(), 'agentgate-evidence-'));

export const writeFiles = (to: string, files: Files): string => {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    writeFileSync(join(to, path), bytes);
  }
  return to;
};
