import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { services } from '@agentgate/contracts';
import { type StatusNow, startStack as startProject } from '../stack.ts';
import { cpuSeconds, peakMiB } from './figures.ts';
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
  status: StatusNow;
  /** The path of a user's credentials. */
  creds(user: string): string;
  /** Credentials that may say everything in account CORE, for the bare comparison only. */
  bareCreds(): Promise<string>;
  /** Seconds of CPU that each service and each server has used. */
  cpu(): Record<string, number>;
  /** Peak resident memory of each service in MiB. */
  peaks(): Record<string, number>;
  stop(): Promise<void>;
}

/** The project as the end-to-end tests start it, with an echo tool on NATS and one over MCP. */
export const startStack = async (children: Children): Promise<BenchStack> => {
  const stack = await startProject({ config: () => config });
  const creds = (user: string) => join(stack.status.creds, `${user}.creds`);
  await children.start(here('./nats-echo.ts'), [stack.status.nats, creds('tool-fast')]);
  return {
    status: stack.status,
    creds,
    bareCreds: async () => {
      const file = join(stack.dir, 'bare.creds');
      writeFileSync(file, await stack.mint('CORE', 'bare', ['>'], ['>']), { mode: 0o600 });
      return file;
    },
    cpu: () =>
      Object.fromEntries(
        [...services, 'nats-server', 'redis-server'].map((name) => [name, cpuSeconds(stack.pid(name))]),
      ),
    peaks: () => Object.fromEntries(services.map((service) => [service, Math.round(peakMiB(stack.pid(service)))])),
    stop: () => stack.stop(),
  };
};
