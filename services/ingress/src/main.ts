import {
  auditWitnessed,
  ingressCancel,
  killCheck,
  killStream,
  policyDecide,
  policyHold,
  policyObserve,
  runnerCancel,
  runnerExecute,
} from '@agentgate/contracts';
import {
  announcePoint,
  connectRedis,
  createCounter,
  createGauge,
  createKillView,
  newId,
  redisReady,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { Histogram } from 'prom-client';
import { createRedisKeys } from './adapters/redis-keys.ts';
import { env, readConfig } from './config.ts';
import { serveHandlers } from './handlers.ts';
import { createLiveCalls, type LiveCalls } from './live-calls.ts';
import { createIngress, type IngressPorts } from './service.ts';

/** A runner ends a call at its deadline; its answer may take so much longer. */
const answerGraceMs = 1_500;
/** Audit says at the deadline itself what was missing. */
const witnessGraceMs = 250;
/** The agent waits for this, so it is shorter than a client's own patience. */
const cancelMs = 750;
const evidenceMs = 2_000;

const start = async (ctx: ServiceContext) => {
  const { bus, evidence, log, now, health } = ctx;
  const config = readConfig(ctx.config, env);
  await requireStream(bus, killStream);
  const redis = connectRedis({ urlFile: config.redisUrlFile, log });
  await redisReady(redis);
  const killView = await createKillView({ bus });
  health.check('kill view', () => killView.stale() ?? true);
  health.check('redis', () => redis.status === 'ready' || `the connection is ${redis.status}`);

  const decide = bus.batcher(policyDecide);
  const check = bus.batcher(killCheck);
  const execute = bus.batcher(runnerExecute);
  const observe = bus.batcher(policyObserve);
  const witnessed = bus.batcher(auditWitnessed);
  const ports: IngressPorts = {
    now,
    newCallId: () => newId('call', now()),
    keys: createRedisKeys(redis),
    decide,
    checkKill: check,
    ownKillView: (call) => killView.check(call),
    observe: async (seen) => {
      await observe(seen);
    },
    witnessed: (event, deadline) =>
      witnessed({ event, deadline }, { timeoutMs: Math.max(1, deadline - now()) + witnessGraceMs }),
    execute: (ask) => execute(ask, { timeoutMs: Math.max(1, ask.deadline - now()) + answerGraceMs }),
    record: (draft, onDurable) => evidence.record(draft, { timeoutMs: evidenceMs, onDurable }),
    hold: ({ tenant, agent, session, call }, held) => {
      log[held ? 'error' : 'warn'](
        { call, session, held },
        held ? 'an outcome is not in evidence' : 'the outcome is in evidence now',
      );
      bus
        .ask(policyHold, { v: 1, tenant, agent, session, call, held })
        .catch((error: unknown) =>
          log.error({ err: error, session, held }, 'the session could not be held or released'),
        );
    },
    cancelAtRunner: async (call) => {
      const answers = await bus.broadcast(
        runnerCancel,
        { v: 1, call, why: 'cancelled' },
        { timeoutMs: cancelMs, enough: (all) => all.some((a) => a.fate !== undefined) },
      );
      return answers.find((a) => a.fate !== undefined)?.fate;
    },
    cancelElsewhere: async (who, by) => {
      const { v, ...which } = by;
      const answers = await bus.broadcast(
        ingressCancel,
        { v, ...who, ...which },
        { timeoutMs: cancelMs, enough: (all) => all.some((a) => a.status !== 'not_found') },
      );
      return answers.find((a) => a.status !== 'not_found')?.status ?? 'not_found';
    },
  };
  const live = createLiveCalls();
  serveHandlers({
    bus,
    ingress: createIngress(ports, live, config.limits),
    killView,
    tenantOf: config.tenantOf,
    log,
    observe: createMeter(ctx, live),
  });

  const point = announcePoint({ bus, service: 'ingress', killView });
  return {
    close: async () => {
      const until = now() + 5_000;
      while (live.size > 0 && now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
      // Only now: a kill waits for this point as long as calls run here.
      point.leave();
      await killView.close();
      redis.disconnect();
    },
  };
};

const createMeter = ({ metrics }: ServiceContext, live: LiveCalls) => {
  const count = createCounter(metrics, {
    name: 'agentgate_calls_total',
    help: 'Calls by how they ended.',
    labelNames: ['status', 'code'],
  });
  const seconds = new Histogram({
    name: 'agentgate_call_seconds',
    help: 'From a call to its reply.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
    registers: [metrics],
  });
  createGauge(metrics, 'agentgate_calls_in_flight', 'Calls that have no reply yet.', () => live.size);
  return ({ status, code }: { status: string; code: string }, took: number) => {
    count(status, code);
    seconds.observe(took);
  };
};

if (import.meta.main) await runService({ service: 'ingress', env, start });
