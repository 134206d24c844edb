import { readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { type Bus, connectBus } from '@agentgate/bus';
import { auditUsers, type ServiceName } from '@agentgate/contracts';
import { type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { type BaseConfig, readBaseConfig, StartError } from './base-config.ts';
import { requireServer } from './ground-check.ts';
import { createHealth, createHttp, type Health, type HttpSurface } from './http.ts';
import { tellLife } from './life.ts';
import { createLog } from './log.ts';
import { createProducer, type Producer } from './producer.ts';
import { readTrust, type Trust } from './trust.ts';
import { tuneV8 } from './v8.ts';

/** What a service's `start` is given: everything that is the same in each. */
export interface ServiceContext {
  service: ServiceName;
  instance: string;
  version: string;
  config: BaseConfig;
  /** The connection in account CORE. */
  bus: Bus;
  /** The connection in account AUDIT, where AGENTGATE_AUDIT_CREDS names credentials for one. */
  auditBus: Bus | undefined;
  evidence: Producer;
  key: SigningKey;
  trust: Trust;
  log: Logger;
  metrics: Registry;
  health: Health;
  http: Pick<HttpSurface, 'route' | 'routesUnder'>;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** A broken invariant: going on would be worse than a restart. */
  die(error: unknown, message: string): never;
}

export interface Running {
  /** Takes nothing new, finishes what runs, closes what the service opened. */
  close(): Promise<void>;
}

const version = '0.1.0';
const drainMs = 8_000;

/** Loading leaves 20 MB of pages behind, which V8 would keep beside what the load needs. Where Node runs with --expose-gc they go back, before anybody waits for us. */
const giveBack = () => globalThis.gc?.({ type: 'major', flavor: 'last-resort' });

/** The whole life of a service process: connect, check the ground, start, serve health, drain on SIGTERM. */
export const runService = async (opts: {
  service: ServiceName;
  env: Record<string, string | undefined>;
  start: (ctx: ServiceContext) => Promise<Running>;
}): Promise<void> => {
  const { service } = opts;
  tuneV8();
  giveBack();
  const log = createLog({ service, level: opts.env.AGENTGATE_LOG_LEVEL });
  const die = (error: unknown, message: string): never => {
    log.fatal({ err: error }, message);
    process.exit(1);
  };
  process.on('uncaughtException', (error) => die(error, 'an error that nobody took'));
  process.on('unhandledRejection', (error) => die(error, 'a rejection that nobody took'));
  try {
    await start(opts, log, die);
  } catch (error) {
    if (error instanceof StartError) die(undefined, error.message);
    die(error, `${service} could not start`);
  }
};

const start = async (opts: Parameters<typeof runService>[0], log: Logger, die: ServiceContext['die']) => {
  const { service } = opts;
  const config = readBaseConfig(opts.env);
  const instance = config.AGENTGATE_INSTANCE;
  const now = Date.now;
  const key = signingKeyFromSeed(readFileSync(config.AGENTGATE_KEY, 'utf8').trim());
  const trust = readTrust(config.AGENTGATE_TRUST);
  const connect = (user: string, credsFile: string) =>
    connectBus({ servers: config.AGENTGATE_NATS_URL, creds: readFileSync(credsFile, 'utf8'), user, instance, log });
  const bus = await connect(service, config.AGENTGATE_NATS_CREDS);
  await requireServer(bus);
  const auditUser = auditUsers[service];
  const auditBus =
    auditUser === undefined || config.AGENTGATE_AUDIT_CREDS === undefined
      ? undefined
      : await connect(auditUser, config.AGENTGATE_AUDIT_CREDS);
  const evidence = createProducer({ bus: auditBus ?? bus, service, instance, key, log, now });
  const metrics = new Registry();
  metrics.setDefaultLabels({ service });
  collectDefaultMetrics({ register: metrics });
  const health = createHealth();
  const startedAt = new Date().toISOString();
  const http = createHttp(metrics, health, () => ({
    service,
    instance,
    version,
    started_at: startedAt,
    pid: process.pid,
  }));
  let state: 'starting' | 'running' | 'stopping' = 'starting';
  health.check('state', () => state === 'running' || `the service is ${state}`);
  health.check('nats', () => bus.connected() || 'not connected');
  // Listening before the start: an operator sees why a service is not ready while it waits for another.
  await http.listen(config.AGENTGATE_HTTP_HOST, config.AGENTGATE_HTTP_PORT);
  const running = await opts.start({
    service,
    instance,
    version,
    config,
    bus,
    auditBus,
    evidence,
    key,
    trust,
    log,
    metrics,
    health,
    http,
    now,
    die,
  });
  bus.answerMicro({ service, version, description: `AgentGate ${service}` });
  // Ready is what the server hears for us: a subscription still on its way there would be "is not running" to whoever asks now.
  await bus.flush();
  const life = tellLife({ service, instance, version, evidence, keyid: key.keyid, log });
  state = 'running';
  // Where NODE_COMPILE_CACHE names a folder: the next start is faster and smaller, however this one ends.
  flushCompileCache();

  const stop = async () => {
    if (state === 'stopping') return;
    state = 'stopping';
    const tooLong = setTimeout(() => die(undefined, `not drained within ${drainMs} ms`), drainMs);
    await running.close();
    await life.stop();
    await evidence.close();
    await Promise.all([bus.drain(), auditBus?.drain(), http.close()]);
    clearTimeout(tooLong);
    log.info({ instance }, 'stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => void stop().catch((error: unknown) => die(error, 'the service could not stop in order')));
  // Last: whoever reads it may send a signal at once.
  log.info({ instance }, 'ready');
};
