import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePorts, type Ground } from '@agentgate/testkit';
import { startProxy } from './proxy.ts';

/** The broker as it really runs: its own process, its own user, its own files. */
export interface BrokerProcess {
  http: string;
  pid: number;
  /** All that it wrote to stdout and stderr. */
  output(): string;
  /** Every byte between it and NATS, both ways. */
  wire(): Buffer;
  /** The exit code, or null where the signal ended it. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  /** Resolves when it is gone, whoever ended it. */
  exited: Promise<number | null>;
}

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const readyMs = 20_000;

export const startBroker = async (
  ground: Ground,
  environment: Record<string, string> = {},
  /** Sees what the broker sends to NATS before NATS does. */
  tap?: (chunk: Buffer) => boolean,
  /** Which answer it is waited for; one that is healthy may still be ready for nothing. */
  waitFor: 'readyz' | 'healthz' = 'readyz',
): Promise<BrokerProcess> => {
  const port = (await freePorts()).nats;
  const proxy = await startProxy(Number(new URL(ground.natsUrl).port), tap);
  const http = `http://127.0.0.1:${port}`;
  const child: ChildProcess = spawn(process.execPath, [main], {
    env: {
      AGENTGATE_NATS_URL: `nats://127.0.0.1:${proxy.port}`,
      AGENTGATE_NATS_CREDS: ground.credsFile('credential-broker'),
      AGENTGATE_KEY: ground.keyFile('credential-broker'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_JWT_KEY: ground.deployment.keys.jwtKeyFile,
      AGENTGATE_BROKER_KEY: ground.deployment.keys.brokerKeyFile,
      AGENTGATE_HTTP_PORT: String(port),
      AGENTGATE_LOG_LEVEL: 'debug',
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
  // A test that fails leaves nothing behind.
  const killNow = () => child.kill('SIGKILL');
  process.on('exit', killNow);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      gone = true;
      process.off('exit', killNow);
      proxy.close();
      resolve(code);
    });
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  const until = Date.now() + readyMs;
  while (!(await answersWell(`${http}/${waitFor}`))) {
    if (gone || Date.now() > until) {
      await kill('SIGKILL');
      throw new Error(`the broker is not ready: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { http, pid: child.pid ?? 0, output: () => output, wire: proxy.wire, kill, exited };
};

const answersWell = async (url: string): Promise<boolean> => {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
};
