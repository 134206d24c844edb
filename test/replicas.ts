import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { freePort } from '@agentgate/testkit';
import { eventually } from './eventually.ts';
import type { Stack } from './stack.ts';

export interface Replica {
  service: string;
  pid: number;
  /** Where its health and metrics are. */
  http: string;
  kill(signal: NodeJS.Signals): Promise<void>;
}

const readyMs = 60_000;

/** One more process of a service that runs already: the same program with the same environment (but for `more`), on a port of its own. */
export const replicate = async (stack: Stack, service: string, more: Record<string, string> = {}): Promise<Replica> => {
  const pid = stack.pid(service);
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').filter(Boolean);
  const env = Object.fromEntries(read('environ').map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
  const [command = '', ...args] = read('cmdline');
  const port = await freePort();
  const child: ChildProcess = spawn(command, args, {
    env: { ...env, AGENTGATE_HTTP_PORT: String(port), ...more },
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const killNow = () => child.kill('SIGKILL');
  process.on('exit', killNow);
  const http = `http://127.0.0.1:${port}`;
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
    process.off('exit', killNow);
  };
  await eventually(`a replica of ${service} is ready`, async () => (await fetch(`${http}/readyz`)).ok, readyMs).catch(
    async (error: unknown) => {
      await kill('SIGKILL');
      throw error;
    },
  );
  return { service, pid: child.pid ?? 0, http, kill };
};
