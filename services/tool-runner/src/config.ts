import { join } from 'node:path';
import type { Config } from '@agentgate/contracts';
import { type BaseConfig, type Environment, readGateConfig, required } from '@agentgate/runtime';

export interface RunnerConfig {
  servers: Config['servers'];
  /** Credentials whose leases serve the calls of a session. */
  reused: ReadonlySet<string>;
  limits: Config['limits'];
  pinning: Config['pinning'];
  redisUrlFile: string;
  witnessesFile: string;
  /** The PATH that stdio servers get, and with it all they get of our environment. */
  path: string;
  /** The folder under which each stdio server has its home, kept between starts; where the deployment gives none, they go with the process. */
  homes: string | undefined;
}

/** What the runner reads beside the base: the servers of agentgate.yaml, and PATH. */
export const readConfig = (base: BaseConfig, env: Environment): RunnerConfig => {
  const { servers, credentials, limits, pinning } = readGateConfig(base);
  return {
    servers,
    reused: new Set(
      Object.entries(credentials).flatMap(([name, c]) => ('reuse' in c && c.reuse === 'session' ? [name] : [])),
    ),
    limits,
    pinning,
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
    witnessesFile: required(base.AGENTGATE_WITNESSES, 'AGENTGATE_WITNESSES'),
    path: env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    homes: base.AGENTGATE_STATE_DIR && join(base.AGENTGATE_STATE_DIR, 'servers'),
  };
};

export const env: Environment = process.env;
