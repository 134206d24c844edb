import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const cli = fileURLToPath(new URL('../packages/cli/bin/agentgate.mjs', import.meta.url));
const longestMs = 90_000;

export interface Ended {
  /** Null where it took too long. */
  code: number | null;
  out: string;
  err: string;
}

/** `agentgate`, as a person calls it who has set AGENTGATE_HOME, without a terminal. */
export interface Command {
  run(...args: string[]): Promise<Ended>;
  /** With `--json`: what it answers, also where it failed. */
  ask<T = Record<string, unknown>>(...args: string[]): Promise<{ code: number | null; answer: T }>;
}

/** `home` is asked for at each call: a stack has none before it runs. */
export const createCommand = (home: () => string): Command => {
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
      const { code, out } = await run('--json', ...args);
      return { code, answer: JSON.parse(out || '{}') as T };
    },
  };
};
