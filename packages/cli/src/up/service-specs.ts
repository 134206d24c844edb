import { join } from 'node:path';
import {
  alertSources,
  auditUsers,
  type Config,
  maxAlertEndpoints,
  type ServiceName,
  services,
  sourcesOf,
} from '@agentgate/contracts';
import { type Deployment, logOrigin } from '@agentgate/ground';
import { baseEnvironment, pick } from './base-environment.ts';
import { compileCache } from './compile-cache.ts';
import type { ProgramSpec } from './supervisor.ts';

export interface SpecOptions {
  deployment: Deployment;
  root: string;
  configFile: string;
  httpPorts: Record<ServiceName, number>;
  mcpPort: number;
  environment: Record<string, string | undefined>;
  /** Node, and what it needs to know. */
  node: string;
  logLevel: string;
}

/** The variables that hold a secret which the configuration names: credentials go to the broker alone, what must not leave to policy, bait to the sentinel, webhooks' secrets to the notifier. */
const secretVariables = (service: ServiceName, { credentials, policy, containment, alerts }: Config): string[] => {
  switch (service) {
    case 'credential-broker':
      return [
        'CREDENTIALS_DIRECTORY',
        ...Object.values(credentials)
          .flatMap(sourcesOf)
          .flatMap((from) => ('env' in from ? [from.env] : [])),
      ];
    case 'policy':
      return Object.values(policy.secrets).flatMap((from) => ('env' in from ? [from.env] : []));
    case 'sentinel':
      return containment.canaries
        .flatMap(({ values = {} }) => Object.values(values))
        .flatMap((from) => ('env' in from ? [from.env] : []));
    case 'notifier':
      return ['CREDENTIALS_DIRECTORY', ...alertSources(alerts).flatMap((from) => ('env' in from ? [from.env] : []))];
    default:
      return [];
  }
};

const nodeOptions = (semiSpaceMiB: number) => `--max-semi-space-size=${semiSpaceMiB} --v8-pool-size=1 --expose-gc`;

/**
 * A service's garbage is short-lived: a small young generation and few arenas keep its memory flat under load; gc is for what a start leaves behind. One
 * thread beside the main one collects and compiles: of four in each service most would wait to be let run. What Node reads from a socket, 64 KiB a piece,
 * goes back where it came from, and leaves no holes between what stays.
 */
export const smallMemory = {
  NODE_OPTIONS: nodeOptions(8),
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '49152',
};

/** These hold most beside their calls, an engine's workers, three databases, the web's own requests and streams: they get less to grow in. */
const smallerMemory: Partial<Record<ServiceName, Record<string, string>>> = {
  policy: { NODE_OPTIONS: nodeOptions(2) },
  audit: { NODE_OPTIONS: nodeOptions(4), MALLOC_ARENA_MAX: '1' },
  'mcp-edge': { NODE_OPTIONS: nodeOptions(2), MALLOC_ARENA_MAX: '1' },
};

/** Who tells tenants by their NATS accounts. */
const usesTenants: readonly ServiceName[] = ['ingress', 'kill-switch', 'mcp-edge'];

const usesRedis: readonly ServiceName[] = ['ingress', 'policy', 'kill-switch', 'tool-runner'];

/** Each endpoint may have a name to look up that hangs, and each holds one of libuv's threads: the usual four would leave none for the others. */
const lookupThreads = { UV_THREADPOOL_SIZE: String(maxAlertEndpoints + 4) };

/** Who asks witnesses, and who believes them. */
const usesWitnesses: readonly ServiceName[] = ['audit', 'tool-runner'];

const environmentOf = (service: ServiceName, o: SpecOptions): Record<string, string> => {
  const { deployment: d } = o;
  const auditUser = auditUsers[service];
  return {
    ...baseEnvironment(o.environment),
    ...pick(o.environment, secretVariables(service, d.config)),
    ...(service === 'credential-broker'
      ? { AGENTGATE_JWT_KEY: d.keys.jwtKeyFile, AGENTGATE_BROKER_KEY: d.keys.brokerKeyFile }
      : {}),
    ...(service === 'policy' ? { AGENTGATE_POLICY_AUTHORS: d.keys.authorsFile } : {}),
    ...(usesTenants.includes(service) ? { AGENTGATE_TENANTS: d.tenantsFile } : {}),
    ...(service === 'mcp-edge'
      ? { AGENTGATE_MCP_PORT: String(o.mcpPort), ...pick(o.environment, ['AGENTGATE_MCP_HOSTNAMES']) }
      : {}),
    ...(auditUser === undefined ? {} : { AGENTGATE_AUDIT_CREDS: d.credsFile(auditUser) }),
    ...(service === 'audit'
      ? {
          AGENTGATE_STATE_DIR: join(d.home, 'evidence'),
          AGENTGATE_LOG_LOCK_DIR: join(d.home, 'log-lock'),
          AGENTGATE_LOG_KEY: d.keys.logKeyFile,
          AGENTGATE_LOG_ORIGIN: logOrigin,
          AGENTGATE_KEY_EVENTS: d.keys.keyEventsFile,
        }
      : {}),
    ...(service === 'notifier' ? lookupThreads : {}),
    ...(usesWitnesses.includes(service) ? { AGENTGATE_WITNESSES: d.witnessesFile } : {}),
    ...(usesRedis.includes(service) ? { AGENTGATE_REDIS_URL_FILE: d.redis.urlFile(service) } : {}),
    AGENTGATE_NATS_URL: d.natsUrl,
    AGENTGATE_NATS_CREDS: d.credsFile(service),
    AGENTGATE_KEY: d.keys.keyFile(service),
    AGENTGATE_TRUST: d.keys.trustFile,
    AGENTGATE_CONFIG: o.configFile,
    AGENTGATE_HTTP_HOST: '127.0.0.1',
    AGENTGATE_HTTP_PORT: String(o.httpPorts[service]),
    AGENTGATE_LOG_LEVEL: o.logLevel,
    NODE_ENV: 'production',
    ...smallMemory,
    ...smallerMemory[service],
    ...compileCache(o.root),
  };
};

export const serviceSpecs = (o: SpecOptions): ProgramSpec[] =>
  services.map((service) => ({
    name: service,
    command: o.node,
    args: ['--disable-warning=ExperimentalWarning', join(o.root, 'services', service, 'src', 'main.ts')],
    env: environmentOf(service, o),
    cwd: o.root,
  }));
