import {
  agentsBucket,
  approvalRedeem,
  approvalRequest,
  buckets,
  bundlesStore,
  pinsBucket,
  policyBucket,
  toolsBucket,
} from '@agentgate/contracts';
import {
  connectRedis,
  createCounter,
  createGauge,
  newId,
  redisReady,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { Histogram } from 'prom-client';
import { watchAgents, watchCatalog, watchPins } from './adapters/directory.ts';
import { createPermits } from './adapters/permits.ts';
import { createRedisMemory } from './adapters/redis-memory.ts';
import { createRedisRateLimits } from './adapters/redis-rate-limits.ts';
import { createRedisSessions } from './adapters/redis-sessions.ts';
import { env, readPolicyConfig } from './config.ts';
import { type Serving, servePolicy } from './handlers.ts';
import { type Revisions, startRevisions } from './revisions.ts';
import { createPolicy } from './service.ts';

const start = async (ctx: ServiceContext) => {
  const { bus, log, evidence, now } = ctx;
  const config = readPolicyConfig(ctx.config, env);
  await Promise.all(
    [agentsBucket, toolsBucket, pinsBucket, policyBucket, bundlesStore].map((spec) => requireStream(bus, spec)),
  );
  const redis = connectRedis({ urlFile: config.redisUrlFile, log });
  await redisReady(redis);
  const agents = await watchAgents(bus.bucket(buckets.agents), log);
  const catalog = await watchCatalog(bus.bucket(buckets.tools), log);
  const pins = await watchPins(bus.bucket(buckets.pins), log);
  const memory = createRedisMemory(redis);
  const revisions = await startRevisions(ctx, config, { memory, agents, catalog });
  const policy = createPolicy({
    under: revisions.under,
    exceptions: revisions.exceptions,
    shadow: revisions.shadow,
    memory,
    rateLimits: createRedisRateLimits(redis),
    approvals: {
      request: async (question) => {
        const { id, expires_at } = await bus.ask(approvalRequest, { v: 1, question });
        return { id, expires_at };
      },
      redeem: (ask) => bus.ask(approvalRedeem, { v: 1, ...ask }),
    },
    trust: ctx.trust,
    sessions: createRedisSessions(redis, now),
    agents,
    catalog,
    pins,
    permits: createPermits(ctx.key),
    evidence,
    servers: config.servers,
    newId,
    now,
    log,
  });
  ctx.health.check('redis', () => redis.status === 'ready' || `Redis is ${redis.status}`);
  servePolicy({ bus, policy, log, observe: createMeter(ctx, revisions) });
  return {
    close: async () => {
      await Promise.all([revisions.close(), agents.close(), catalog.close(), pins.close()]);
      redis.disconnect();
    },
  };
};

const shadowHelp = {
  decided: 'that the revision in the shadow decided',
  differed: 'that it decided otherwise than the active one',
  failed: 'that it gave no decision for',
  dropped: 'that it was not asked about, because too many waited',
} as const;

const createMeter = (
  { metrics }: ServiceContext,
  { lost, epoch, shadow }: Pick<Revisions, 'lost' | 'epoch' | 'shadow'>,
): Serving['observe'] => {
  const registers = [metrics];
  const count = createCounter(metrics, {
    name: 'agentgate_policy_decisions_total',
    help: 'Calls decided, or that could not be, by code.',
    labelNames: ['code'],
  });
  const seconds = new Histogram({
    name: 'agentgate_policy_batch_seconds',
    help: 'From a batch of calls to their decisions.',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5],
    registers,
  });
  createGauge(
    metrics,
    'agentgate_policy_workers_lost',
    'Evaluations that were cut off, and their workers with them, by the revision that decides now.',
    lost,
  );
  createGauge(metrics, 'agentgate_policy_epoch', 'The activation epoch that this replica decides by.', epoch);
  for (const key of ['decided', 'differed', 'failed', 'dropped'] as const)
    createGauge(
      metrics,
      `agentgate_policy_shadow_${key}`,
      `Calls ${shadowHelp[key]}, since the shadow was set.`,
      () => shadow.told(0).totals[key],
    );
  return ({ decisions: codes, ms }) => {
    for (const code of codes) count(code);
    seconds.observe(ms / 1000);
  };
};

if (import.meta.main) await runService({ service: 'policy', env, start });
