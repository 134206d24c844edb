import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort, type Ground } from '@agentgate/testkit';
import { secret } from './fixtures.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const readyMs = 60_000;

/** The notifier as it really runs: its own process, its own users, its own files. */
export interface NotifierProcess {
  pid: number;
  output(): string;
  metrics(): Promise<string>;
  /** What /readyz says. */
  health(): Promise<{ ready: boolean; text: string }>;
  /** The exit code, or null where the signal ended it. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

export const configOf = (endpoints: Record<string, object>): string =>
  JSON.stringify({ v: 1, tenants: { default: { agents: { demo: {} } } }, alerts: { endpoints } });

export const startNotifier = async (
  ground: Ground,
  endpoints: Record<string, object>,
  environment: Record<string, string> = { AGENTGATE_WEBHOOK_SECRET: secret },
): Promise<NotifierProcess> => {
  const port = await freePort();
  writeFileSync(ground.configFile, configOf(endpoints));
  const child: ChildProcess = spawn(process.execPath, [main], {
    env: {
      AGENTGATE_NATS_URL: ground.natsUrl,
      AGENTGATE_NATS_CREDS: ground.credsFile('notifier'),
      AGENTGATE_AUDIT_CREDS: ground.credsFile('notifier-evidence'),
      AGENTGATE_KEY: ground.keyFile('notifier'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_HTTP_PORT: String(port),
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  let gone = false;
  const killNow = () => child.kill('SIGKILL');
  process.on('exit', killNow);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      gone = true;
      process.off('exit', killNow);
      resolve(code);
    });
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  const isReady = () =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const until = Date.now() + readyMs; !(await isReady()); ) {
    if (gone || Date.now() > until) {
      await kill('SIGKILL');
      throw new Error(`the notifier is not ready: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    pid: child.pid ?? 0,
    output: () => output,
    health: async () => {
      const told = await fetch(`http://127.0.0.1:${port}/readyz`);
      return { ready: told.ok, text: await told.text() };
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
    kill,
  };
};
