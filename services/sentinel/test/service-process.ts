import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePorts, type Ground } from '@agentgate/testkit';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const readyMs = 60_000;

/** The service as its own process, the way it runs in a deployment. */
export interface ServiceProcess {
  logs(): string;
  /** What `/readyz` says that is wrong. */
  problems(): Promise<string[]>;
  /** Resolves once it is gone, except for SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Resolves once it is gone, for whatever reason. */
  exited: Promise<void>;
}

export const startSentinel = async (ground: Ground, instance: string): Promise<ServiceProcess> => {
  const port = (await freePorts()).nats;
  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      AGENTGATE_NATS_URL: ground.natsUrl,
      AGENTGATE_NATS_CREDS: ground.credsFile('sentinel'),
      AGENTGATE_AUDIT_CREDS: ground.credsFile('sentinel-evidence'),
      AGENTGATE_KEY: ground.keyFile('sentinel'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_HTTP_PORT: String(port),
      AGENTGATE_INSTANCE: instance,
    },
  });
  let logs = '';
  for (const out of [child.stdout, child.stderr]) out?.on('data', (chunk: Buffer) => (logs += chunk.toString('utf8')));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const killNow = () => child.kill('SIGKILL');
  process.on('exit', killNow);
  const problems = async (): Promise<string[]> => {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(2_000) });
      return ((await answer.json()) as { problems: string[] }).problems;
    } catch {
      return ['no answer'];
    }
  };
  for (const until = Date.now() + readyMs; (await problems()).length > 0; ) {
    if (child.exitCode !== null || Date.now() > until) {
      killNow();
      throw new Error(`${instance} is not ready: ${await problems()}\n${logs.slice(-4_000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    logs: () => logs,
    problems,
    kill: async (signal) => {
      child.kill(signal);
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
      await exited;
      process.off('exit', killNow);
    },
    exited,
  };
};
