import { agentsBucket, approvalRedeem, approvalRequest, buckets, pinsBucket, toolsBucket } from '@agentgate/contracts';
import { createFactFinder, type PolicyEngine, startEngine } from '@agentgate/policy-engine';
import {
  connectRedis,
  createGauge,
  newId,
  redisReady,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { Counter, Histogram } from 'prom-client';
import { readBundle, revisionOf } from './adapters/bundle.ts';
import { watchAgents, watchCatalog, watchPins } from './adapters/directory.ts';
import { createPermits } from './adapters/permits.ts';
import { createRedisMemory } from './adapters/redis-memory.ts';
import { createRedisRateLimits } from './adapters/redis-rate-limits.ts';
import { createRedisSessions } from './adapters/redis-sessions.ts';
import { env, readPolicyConfig } from './config.ts';
import { type Serving, servePolicy } from './handlers.ts';
import { createPolicy } from './service.ts';

const start = async (ctx: ServiceContext) => {
  const { bus, log, evidence, now } = ctx;
  const { bundle, policy: compiled, servers, settings, secrets, redisUrlFile } = readPolicyConfig(ctx.config, env);
  await Promise.all([agentsBucket, toolsBucket, pinsBucket].map((stream) => requireStream(bus, stream)));
  const { module, wasm } = await readBundle(bundle);
  const revision = revisionOf(wasm, compiled, settings);
  const engine = await startEngine({ policy: compiled, module, log });
  const redis = connectRedis({ urlFile: redisUrlFile, log });
  await redisReady(redis);
  const agents = await watchAgents(bus.bucket(buckets.agents), log);
  const catalog = await watchCatalog(bus.bucket(buckets.tools), log);
  const pins = await watchPins(bus.bucket(buckets.pins), log);
  const memory = createRedisMemory(redis);
  const policy = createPolicy({
    engine,
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
    facts: createFactFinder({ ...settings, secrets, memory }),
    sessions: createRedisSessions(redis, now),
    agents,
    catalog,
    pins,
    permits: createPermits(ctx.key),
    evidence,
    data: compiled.data,
    servers,
    revision,
    newId,
    now,
    log,
  });
  ctx.health.check('redis', () => redis.status === 'ready' || `Redis is ${redis.status}`);
  // Nothing is decided by a revision that evidence does not know.
  await evidence.record({ name: 'policy.activated', subject: revision.revision, data: revision });
  servePolicy({ bus, policy, log, observe: createMeter(ctx, engine) });
  log.info({ revision: revision.revision, grants: compiled.data.grants.list.length }, 'the policy is active');
  return {
    close: async () => {
      await Promise.all([engine.close(), agents.close(), catalog.close(), pins.close()]);
      redis.disconnect();
    },
  };
};

const createMeter = ({ metrics }: ServiceContext, engine: PolicyEngine): Serving['observe'] => {
  const registers = [metrics];
  const decisions = new Counter({
    name: 'agentgate_policy_decisions_total',
    help: 'Calls decided, or that could not be, by code.',
    labelNames: ['code'],
    registers,
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
    'Evaluations that were cut off, and their workers with them, since the start.',
    () => engine.lost,
  );
  return ({ decisions: codes, ms }) => {
    for (const code of codes) decisions.inc({ code });
    seconds.observe(ms / 1000);
  };
};

await runService({ service: 'policy', env, start });
