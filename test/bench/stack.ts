import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type StackStatus, stackStatus } from '@agentgate/contracts';
import { mintUser, openHome } from '@agentgate/ground';
import type { Children } from './processes.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const config = `v: 1
tenants:
  default:
    agents:
      demo: { labels: [bench] }
servers:
  fast: { nats: { subject: tool.v1.fast } }
  mcp: { stdio: { command: "${process.execPath}", args: ["${here('./mcp-echo.ts')}"] } }
grants:
  - { id: bench, to: { labels: [bench] }, tools: ["fast/echo", "mcp/echo"], effect: allow }
`;

export interface BenchStack {
  status: StackStatus;
  /** The path of a user's credentials. */
  creds(user: string): string;
  /** Credentials that may say everything in account CORE, for the bare comparison only. */
  bareCreds(): Promise<string>;
  /** Peak resident memory of each service in MiB. */
  peaks(): Promise<Record<string, number>>;
  dispose(): void;
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });

/** A stack of its own in a temporary folder, started by the command that users have. */
export const startStack = async (children: Children): Promise<BenchStack> => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-bench-'));
  const home = join(dir, 'home');
  writeFileSync(join(dir, 'agentgate.yaml'), config);
  const portBase = 20_000 + ((await freePort()) % 20_000);
  await children.start(
    here('../../packages/cli/bin/agentgate.mjs'),
    ['up', '--config', join(dir, 'agentgate.yaml'), '--home', home, '--port-base', String(portBase)],
    { env: { AGENTGATE_LOG_LEVEL: 'warn' }, quiet: true },
  );
  const status = await waitForStatus(join(home, 'status.json'));
  await children.start(here('./nats-echo.ts'), [status.nats, join(status.creds, 'tool-fast.creds')]);
  return {
    status,
    creds: (user) => join(status.creds, `${user}.creds`),
    bareCreds: async () => {
      const file = join(dir, 'bare.creds');
      const { creds } = await mintUser({
        name: 'bare',
        accountSeed: openHome(home).core.CORE,
        permissions: { pub: ['>'], sub: ['>'] },
      });
      writeFileSync(file, creds, { mode: 0o600 });
      return file;
    },
    peaks: async () =>
      Object.fromEntries(
        await Promise.all(
          Object.entries(status.metrics).map(async ([service, url]) => [service, await peakOf(url)] as const),
        ),
      ),
    dispose: () => rmSync(dir, { recursive: true, force: true }),
  };
};

const waitForStatus = async (file: string): Promise<StackStatus> => {
  for (
    const until = Date.now() + 60_000;
    Date.now() < until;
    await new Promise((resolve) => setTimeout(resolve, 100))
  ) {
    try {
      return stackStatus.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch {
      // Not ready yet.
    }
  }
  throw new Error('the stack was not ready within 60 s');
};

const peakOf = async (metricsUrl: string): Promise<number> => {
  const health = (await (await fetch(new URL('/healthz', metricsUrl))).json()) as { pid: number };
  const kib = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${health.pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kib) / 1024);
};
