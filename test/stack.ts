import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bus, connectBus } from '@agentgate/bus';
import { type AccountName, services, stackStatus } from '@agentgate/contracts';
import { mintUser, openHome } from '@agentgate/ground';
import { parseTrust, type Trust } from '@agentgate/runtime';
import type { z } from 'zod';
import { eventually } from './eventually.ts';
import { testConfig } from './fixtures/config.ts';
import { openProbeLog, type ProbeLog } from './fixtures/probe-log.ts';

/** As every stack of this version tells it. */
const statusNow = stackStatus.required({ mcp: true });
export type StatusNow = z.infer<typeof statusNow>;

export interface StackOptions {
  /** The text of agentgate.yaml; `dir` is where it will lie. */
  config?: (parts: { dir: string; probeLog: string }) => string;
  /** Run the checkout's own agentgate.yaml instead. */
  standard?: boolean;
  /** Where its state lies, if not in a folder of its own that goes when it stops. */
  home?: string;
  /** Beside the test's own environment. */
  env?: Record<string, string>;
}

/** The whole project, started by the command that users have, in a folder and on ports of its own. */
export interface Stack {
  dir: string;
  home: string;
  status: StatusNow;
  /** As it is written there now. */
  readStatus(): StatusNow;
  probe: ProbeLog;
  trust: Trust;
  /** Everything that `up` and the services said. */
  output(): string;
  /** The text of a user's credentials: `agent-demo`, `operator`, `auditor` …, and the services' own. */
  creds(user: string): string;
  /** Connects with these credentials; closed by `stop`. */
  connect(user: string, creds?: string): Promise<Bus>;
  /** Credentials of an account with permissions of the test's choice: to look on where nobody may. */
  mint(account: AccountName | { tenant: string }, user: string, pub: string[], sub: string[]): Promise<string>;
  /** Of a service, `nats-server` or `redis-server`. */
  pid(program: string): number;
  pids(): Record<string, number>;
  /** Sends a signal to one program. */
  kill(program: string, signal: NodeJS.Signals): void;
  /** Resolves once a new process of it runs and says that it is ready. */
  restarted(program: string, was: number): Promise<void>;
  /** Ends the whole stack and starts it again in the same home. */
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the stack and leaves its home as it is. */
  halt(signal: NodeJS.Signals): Promise<void>;
  stop(): Promise<void>;
}

const cli = fileURLToPath(new URL('../packages/cli/bin/agentgate.mjs', import.meta.url));
const startMs = 60_000;
const stopMs = 20_000;

export const startStack = async (options: StackOptions = {}): Promise<Stack> => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-e2e-'));
  const home = options.home ?? join(dir, 'home');
  const probeLog = join(dir, 'probe.log');
  writeFileSync(probeLog, '');
  const configFile = join(dir, 'agentgate.yaml');
  writeFileSync(configFile, options.config?.({ dir, probeLog }) ?? testConfig({ probeLog }));
  const base = await freeBase();
  const config = options.standard === true ? [] : ['--config', configFile];
  const up = createUp({ dir, home, config, base, env: options.env ?? {} });
  const status = await up.start().catch((error: unknown) => {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  });
  const buses: Bus[] = [];
  const credsFile = (user: string) => {
    const isService =
      (services as readonly string[]).includes(user) || user === 'audit-log' || user.endsWith('-evidence');
    return isService ? join(home, 'keys', 'services', `${user}.creds`) : join(home, 'creds', `${user}.creds`);
  };
  const creds = (user: string) => readFileSync(credsFile(user), 'utf8');
  const stack: Stack = {
    dir,
    home,
    status,
    readStatus: () => statusIn(home),
    probe: openProbeLog(probeLog),
    trust: parseTrust(readFileSync(join(home, 'keys', 'trust.json'), 'utf8')),
    output: up.output,
    creds,
    connect: async (user, text = creds(user)) => {
      // The name in the credentials: an agent's file says agent-<name>, of another tenant <tenant>.agent-<name>.
      const name = user.replace(/^(?:[a-z0-9_-]+\.)?agent-/, '');
      const bus = await connectBus({ servers: status.nats, creds: text, user: name, instance: `test-${buses.length}` });
      buses.push(bus);
      return bus;
    },
    mint: async (account, user, pub, sub) => {
      const seeds = openHome(home);
      const accountSeed = typeof account === 'string' ? seeds.core[account] : seeds.tenant(account.tenant);
      return (await mintUser({ name: user, accountSeed, permissions: { pub, sub } })).creds;
    },
    pid: (program) => pidIn(home, program),
    pids: () => Object.fromEntries(services.map((service) => [service, pidIn(home, service)])),
    kill: (program, signal) => process.kill(pidIn(home, program), signal),
    restarted: async (program, was) => {
      await eventually(`${program} runs again`, () => pidIn(home, program) !== was, 15_000);
      const url = status.metrics[program];
      if (url) await eventually(`${program} is ready`, async () => (await fetch(new URL('/readyz', url))).ok, 15_000);
    },
    halt: (signal) => up.stop(signal),
    restart: async (signal) => {
      await up.stop(signal);
      await up.start();
    },
    stop: async () => {
      await Promise.all(buses.map((bus) => bus.close().catch(() => {})));
      await up.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
  return stack;
};

const statusIn = (home: string) => statusNow.parse(JSON.parse(readFileSync(join(home, 'status.json'), 'utf8')));

const pidIn = (home: string, program: string): number =>
  (JSON.parse(readFileSync(join(home, 'run', `${program}.pid`), 'utf8')) as { pid: number }).pid;

const createUp = (o: { dir: string; home: string; config: string[]; base: number; env: Record<string, string> }) => {
  const outputFile = join(o.dir, 'up.log');
  const output = () => readFileSync(outputFile, 'utf8');
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  // Last resort, when the test's own process ends in the middle: a stack notices by its pid files what to end.
  const killNow = () => child?.kill('SIGTERM');
  const start = async (): Promise<StatusNow> => {
    const out = openSync(outputFile, 'a');
    const args = [cli, '--home', o.home, 'up', ...o.config, '--port-base', String(o.base)];
    const started = spawn(process.execPath, args, { stdio: ['ignore', out, out], env: { ...process.env, ...o.env } });
    closeSync(out);
    child = started;
    let gone: string | undefined;
    exited = new Promise((resolve) => {
      started.once('exit', (code, signal) => {
        gone = String(signal ?? code);
        if (child === started) child = undefined;
        process.off('exit', killNow);
        resolve();
      });
    });
    process.on('exit', killNow);
    const status = await eventually(
      'the stack is ready',
      () => {
        if (gone !== undefined) return 'gone' as const;
        const status = statusIn(o.home);
        // One that was killed may have left its own behind for a moment.
        return status.pid === started.pid && status;
      },
      startMs,
    ).catch(async (error: unknown) => {
      await stop();
      throw new Error(`the stack does not start: ${output().slice(-3000)}`, { cause: error });
    });
    if (status === 'gone') throw new Error(`the stack ended with ${gone}: ${output().slice(-3000)}`);
    return status;
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    const running = child;
    if (!running) return;
    // Somebody frozen by a test must run to hear that it is to end.
    for (const service of services) tryKill(() => process.kill(pidIn(o.home, service), 'SIGCONT'));
    running.kill(signal);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      running.kill('SIGKILL');
    }, stopMs);
    await exited;
    clearTimeout(timer);
    if (isLate) throw new Error(`the stack did not stop within ${stopMs} ms of ${signal}: ${output().slice(-2000)}`);
  };
  return { start, stop, output };
};

const tryKill = (kill: () => void): void => {
  try {
    kill();
  } catch {
    // It is gone already.
  }
};

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** More than a stack uses. */
const portsAStack = 30;

/** The first of a row of ports that are all free. */
const freeBase = async (): Promise<number> => {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + portsAStack * Math.floor(Math.random() * 400);
    const free = await Promise.all(Array.from({ length: portsAStack }, (_, i) => isFree(base + i)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no row of free ports was found');
};
