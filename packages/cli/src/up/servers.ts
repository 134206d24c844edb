import { availableParallelism } from 'node:os';
import {
  binaryFolders,
  type Deployment,
  findBinary,
  natsReady,
  natsServer,
  type Ports,
  redisReady,
  redisServer,
} from '@agentgate/ground';
import { baseEnvironment } from './base-environment.ts';
import { serverNames } from './server-names.ts';
import type { Supervisor } from './supervisor.ts';
import { lastWords } from './wait-ready.ts';

const [nats, redis] = serverNames;
const startMs = 20_000;

/**
 * Half of them, since the services need the others. On two cores NATS would wake its threads on both for each message, and with 16 calls in
 * flight all programs together took a quarter more for a call.
 */
const natsCores = (): number => Math.max(1, Math.floor(availableParallelism() / 2));

/** Starts NATS and Redis under the supervisor and waits until both answer. */
export const startServers = async (opts: {
  deployment: Deployment;
  ports: Ports;
  supervisor: Supervisor;
  root: string;
  environment: Record<string, string | undefined>;
}): Promise<void> => {
  const { deployment, ports, supervisor, environment } = opts;
  const folders = binaryFolders({ root: opts.root, bin: environment.AGENTGATE_BIN, path: environment.PATH });
  const common = { env: baseEnvironment(environment), cwd: deployment.home };
  supervisor.start({
    name: nats,
    command: findBinary(natsServer, folders),
    args: ['-c', deployment.natsConf],
    ...common,
    env: { ...common.env, GOMAXPROCS: environment.GOMAXPROCS ?? String(natsCores()) },
  });
  supervisor.start({
    name: redis,
    command: findBinary(redisServer, folders),
    args: [deployment.redis.conf],
    ...common,
  });
  const gone = (name: string) => () => {
    const state = supervisor.state(name);
    return state && state.ends > 0 ? lastWords(name, state) : undefined;
  };
  await natsReady(ports.nats, { timeoutMs: startMs, gone: gone(nats) });
  await redisReady(deployment.redis.url('policy'), { timeoutMs: startMs, gone: gone(redis) });
};
