import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePorts, type Ground } from '@agentgate/testkit';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** The service as its own process, the way it runs in a deployment. */
export interface ServiceProcess {
  instance: string;
  logs(): string;
  /** Whether `/readyz` says that it can do its job, and if not, why. */
  problems(): Promise<string[]>;
  ready(): Promise<void>;
  kill(signal: NodeJS.Signals): Promise<number | null>;
  exited: Promise<number | null>;
}

export const spawnService = async (
  ground: Ground,
  instance: string,
  env: Record<string, string> = {},
): Promise<ServiceProcess> => {
  const port = (await freePorts()).nats;
  writeFileSync(ground.configFile, 'v: 1\ntenants: {}\n');
  const child: ChildProcess = spawn(process.execPath, [main], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      AGENTGATE_NATS_URL: ground.natsUrl,
      AGENTGATE_NATS_CREDS: ground.credsFile('kill-switch'),
      AGENTGATE_KEY: ground.keyFile('kill-switch'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_REDIS_URL_FILE: ground.redisUrlFile('kill-switch'),
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_TENANTS: ground.tenantsFile,
      AGENTGATE_HTTP_PORT: String(port),
      AGENTGATE_INSTANCE: instance,
      ...env,
    },
  });
  let logs = '';
  const take = (chunk: Buffer) => {
    logs += chunk.toString('utf8');
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const endWithTest = () => child.kill('SIGKILL');
  process.on('exit', endWithTest);
  exited.then(() => process.off('exit', endWithTest)).catch(() => {});

  const problems = async (): Promise<string[]> => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1_000) });
      return ((await response.json()) as { problems: string[] }).problems;
    } catch {
      return ['no answer'];
    }
  };
  return {
    instance,
    logs: () => logs,
    problems,
    exited,
    ready: async () => {
      const until = Date.now() + 20_000;
      while ((await problems()).length > 0) {
        if (child.exitCode !== null || Date.now() > until)
          throw new Error(`${instance} is not ready: ${(await problems()).join(', ')}\n${logs.slice(-4_000)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    kill: async (signal) => {
      child.kill(signal);
      return exited;
    },
  };
};
