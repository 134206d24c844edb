import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bus, connectBus, type Log } from '@agentgate/bus';
import { type AccountName, type Config, parseConfig, type ServiceName } from '@agentgate/contracts';
import type { SigningKey } from '@agentgate/evidence';
import {
  binaryFolders,
  createDeployment,
  type Deployment,
  findBinary,
  GroundError,
  mintUser,
  nameInCreds,
  natsReady,
  natsServer,
  type Ports,
  provision,
  redisReady,
  redisServer,
} from '@agentgate/ground';
import { readTrust, type Trust } from '@agentgate/runtime';
import { differentPorts } from './free-port.ts';
import { createProgram, type Program } from './program.ts';

export interface GroundOptions {
  /** Tenant → its agents; the default is `{ default: ['demo'] }`. */
  tenants?: Record<string, string[]>;
  /** The text of an agentgate.yaml instead of `tenants`. */
  config?: string;
  /** Leave Redis away where the test does not need it. */
  redis?: boolean;
}

/** Real servers on free ports with everything that `agentgate up` would lay: accounts, users, streams, keys. */
export interface Ground {
  dir: string;
  natsUrl: string;
  config: Config;
  configFile: string;
  deployment: Deployment;
  nats: Program;
  redis: Program;
  redisPort: number;
  /** The text of a user's credentials: a service, `audit-log`, `agent-demo`, `operator`, `approver`, `auditor`, `tool-<server>`. */
  creds(user: string): string;
  credsFile(user: string): string;
  /** Credentials with permissions of the test's own choice, to play an attacker or a broken service. `account` is a core account or a tenant. */
  mintUser(opts: {
    account: AccountName | { tenant: string };
    user: string;
    pub: string[];
    sub: string[];
    answers?: { max: number; ttlMs: number };
  }): Promise<string>;
  redisUrl(service: ServiceName): string;
  redisUrlFile(service: ServiceName): string;
  key(service: ServiceName): SigningKey;
  keyFile(service: ServiceName): string;
  trustFile: string;
  trust: Trust;
  tenantsFile: string;
  accountId(tenant: string): string;
  connect(user: string, opts?: { instance?: string; log?: Log; creds?: string }): Promise<Bus>;
  /** Closes what `connect` opened, ends the servers, removes the folder. */
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const attempts = 3;

export const startGround = async (options: GroundOptions = {}): Promise<Ground> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Between choosing a free port and listening on it another test may have taken it.
      if (attempt === attempts || !(error instanceof GroundError) || !/in use/i.test(error.message)) throw error;
    }
  }
};

const startOnce = async (options: GroundOptions): Promise<Ground> => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-test-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.on('exit', removeDir);
  const configFile = join(dir, 'agentgate.yaml');
  const config = parseConfig(options.config ?? yamlOf(options.tenants ?? { default: ['demo'] }), configFile);
  const ports = await freePorts();
  const home = join(dir, 'home');
  const deployment = await createDeployment({ home, config, ports });
  const folders = binaryFolders({ root, bin: process.env.AGENTGATE_BIN, path: process.env.PATH });
  const nats = createProgram({
    binary: findBinary(natsServer, folders),
    args: ['-c', deployment.natsConf],
    logFile: join(dir, 'nats.log'),
    ready: (gone) => natsReady(ports.nats, { timeoutMs: 15_000, gone }),
  });
  const redis = createProgram({
    binary: findBinary(redisServer, folders),
    args: [deployment.redis.conf],
    logFile: join(dir, 'redis.log'),
    ready: (gone) => redisReady(deployment.redis.url('policy'), { timeoutMs: 15_000, gone }),
  });
  const buses: Bus[] = [];
  const stop = async () => {
    await Promise.all(buses.map((bus) => bus.close().catch(() => {})));
    await Promise.all([nats.stop(), redis.stop()]);
    removeDir();
    process.off('exit', removeDir);
  };
  try {
    await Promise.all([nats.start(), ...(options.redis === false ? [] : [redis.start()])]);
    await provision({ natsUrl: deployment.natsUrl, seeds: deployment.seeds, roster: deployment.roster() });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...outline(deployment, dir, configFile),
    nats,
    redis,
    redisPort: ports.redis,
    connect: connector(deployment, buses),
    stop,
  };
};

const outline = (deployment: Deployment, dir: string, configFile: string) => {
  const { seeds, keys, redis } = deployment;
  return {
    dir,
    configFile,
    deployment,
    natsUrl: deployment.natsUrl,
    config: deployment.config,
    creds: (user: string) => readFileSync(deployment.credsFile(user), 'utf8'),
    credsFile: deployment.credsFile,
    mintUser: async ({ account, user, pub, sub, answers }: Parameters<Ground['mintUser']>[0]) => {
      const accountSeed = typeof account === 'string' ? seeds.core[account] : seeds.tenant(account.tenant);
      return (await mintUser({ name: user, accountSeed, permissions: { pub, sub, ...(answers ? { answers } : {}) } }))
        .creds;
    },
    redisUrl: redis.url,
    redisUrlFile: redis.urlFile,
    key: keys.key,
    keyFile: keys.keyFile,
    trustFile: keys.trustFile,
    trust: readTrust(keys.trustFile),
    tenantsFile: deployment.tenantsFile,
    accountId: deployment.accountId,
  };
};

const connector =
  (deployment: Deployment, buses: Bus[]): Ground['connect'] =>
  async (user, opts = {}) => {
    const creds = opts.creds ?? readFileSync(deployment.credsFile(user), 'utf8');
    const name = await nameInCreds(creds);
    const bus = await connectBus({
      servers: deployment.natsUrl,
      creds,
      user: name,
      instance: opts.instance ?? `${name.replaceAll('.', '-')}-1`,
      ...(opts.log ? { log: opts.log } : {}),
    });
    buses.push(bus);
    return bus;
  };

const yamlOf = (tenants: Record<string, string[]>) =>
  JSON.stringify({
    v: 1,
    tenants: Object.fromEntries(
      Object.entries(tenants).map(([tenant, agents]) => [
        tenant,
        { agents: Object.fromEntries(agents.map((a) => [a, {}])) },
      ]),
    ),
  });

/** Ports that were free a moment ago, all different. */
export const freePorts = async (): Promise<Ports> => {
  const [nats = 0, websocket = 0, redis = 0] = await differentPorts(3);
  return { nats, websocket, redis };
};
