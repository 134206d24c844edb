import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const cli = fileURLToPath(new URL('../packages/cli/bin/agentgate.mjs', import.meta.url));

export interface Ended {
  /** Null where it took too long. */
  code: number | null;
  out: string;
  err: string;
}

/** `agentgate`, as a person calls it who has set AGENTGATE_HOME, without a terminal. */
export interface Command {
  run(...args: string[]): Promise<Ended>;
  /** With `--json`: what it answers, also where it failed. Rejects where that is no JSON, or where anything stands beside it. */
  ask<T = Record<string, unknown>>(...args: string[]): Promise<{ code: number | null; answer: T }>;
}

/** `home` is asked for at each call: a stack has none before it runs. A command that takes longer than `longestMs` is ended. */
export const createCommand = (home: () => string, longestMs = 30_000): Command => {
  const run: Command['run'] = async (...args) => {
    const env = { ...process.env, AGENTGATE_HOME: home() };
    const options = { env, timeout: longestMs };
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    const ended = once(child, 'close') as Promise<[number | null]>;
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, out, err };
  };
  return {
    run,
    ask: async <T>(...args: string[]) => {
      const { code, out, err } = await run('--json', ...args);
      if (err !== '') throw new Error(`beside its answer it said: ${err}`);
      return { code, answer: JSON.parse(out) as T };
    },
  };
};
