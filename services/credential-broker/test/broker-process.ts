import { type ChildProcess, spawn } from 'node:child_process';
import { connect, createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { freePorts, type Ground } from '@agentgate/testkit';

/** The broker as it really runs: its own process, its own user, its own files. */
export interface BrokerProcess {
  http: string;
  /** All that it wrote to stdout and stderr. */
  output(): string;
  /** Every byte between it and NATS, both ways. */
  wire(): Buffer;
  /** The exit code, or null where the signal ended it. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const readyMs = 20_000;

export const startBroker = async (ground: Ground, environment: Record<string, string> = {}): Promise<BrokerProcess> => {
  const port = (await freePorts()).nats;
  const proxy = await recordWire(Number(new URL(ground.natsUrl).port));
  const http = `http://127.0.0.1:${port}`;
  const child: ChildProcess = spawn(process.execPath, [main], {
    env: {
      AGENTGATE_NATS_URL: proxy.url,
      AGENTGATE_NATS_CREDS: ground.credsFile('credential-broker'),
      AGENTGATE_KEY: ground.keyFile('credential-broker'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_JWT_KEY: ground.deployment.keys.jwtKeyFile,
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
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      gone = true;
      resolve(code);
    });
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const code = await exited;
    proxy.close();
    return code;
  };
  const until = Date.now() + readyMs;
  while (!(await isReady(http))) {
    if (gone || Date.now() > until) {
      await kill('SIGKILL');
      throw new Error(`the broker is not ready: ${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { http, output: () => output, wire: proxy.wire, kill };
};

const isReady = async (http: string): Promise<boolean> => {
  try {
    return (await fetch(`${http}/readyz`)).ok;
  } catch {
    return false;
  }
};

/** Stands between the broker and NATS; the broker's own connection is not encrypted on loopback, so this sees what it says. */
const recordWire = async (natsPort: number): Promise<{ url: string; wire(): Buffer; close(): void }> => {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(natsPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => void chunks.push(Buffer.from(chunk)));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return {
    url: `nats://127.0.0.1:${port}`,
    wire: () => Buffer.concat(chunks),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
};
