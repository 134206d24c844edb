import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killStream, pinsBucket, toolsBucket } from '@agentgate/contracts';
import {
  announcePoint,
  connectRedis,
  createCounter,
  createGauge,
  createKillView,
  readWitnesses,
  redisReady,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { Gauge } from 'prom-client';
import { createBrokerLeases } from './adapters/broker-leases.ts';
import { createChildren } from './adapters/child-transport.ts';
import { openPinsBucket } from './adapters/pins-bucket.ts';
import { createRedisMarks } from './adapters/redis-marks.ts';
import { openToolsBucket } from './adapters/tools-bucket.ts';
import { createCatalog } from './catalog.ts';
import { env, readConfig } from './config.ts';
import { serveHandlers } from './handlers.ts';
import { createLiveCalls, type LiveCalls } from './live-calls.ts';
import { serveVerdicts } from './operators.ts';
import { createPermitCheck } from './permit-check.ts';
import { createPins } from './pins/pins.ts';
import type { PinEvent } from './pins/sighting.ts';
import { createVerdicts } from './pins/verdicts.ts';
import { createRunner } from './service.ts';
import type { Listing, Upstream } from './upstream.ts';
import { createUpstreams } from './upstreams.ts';
import { createUsedPermits } from './used-permits.ts';
import { createWitnessCheck } from './witness-check.ts';

const drainMs = 3_000;
/** The service is ready once each server was tried, or after this: one that is slow or down holds up nobody. */
const firstListMs = 5_000;

const start = async (ctx: ServiceContext) => {
  const { bus, evidence, key, log, now, health, trust } = ctx;
  const config = readConfig(ctx.config, env);
  await Promise.all([killStream, toolsBucket, pinsBucket].map((stream) => requireStream(bus, stream)));
  const redis = connectRedis({ urlFile: config.redisUrlFile, log });
  await redisReady(redis);
  const since = now();
  const startedAt = performance.now();
  const killView = await createKillView({ bus });
  health.check('kill view', () => killView.stale() ?? true);
  health.check('redis', () => redis.status === 'ready' || `the connection is ${redis.status}`);

  const children = createChildren();
  const homes = config.homes ?? mkdtempSync(join(tmpdir(), 'agentgate-servers-'));
  process.once('exit', () => {
    children.killAll();
    if (config.homes === undefined) rmSync(homes, { recursive: true, force: true });
  });
  const broker = createBrokerLeases({
    bus,
    key,
    isReused: (name) => config.reused.has(name),
    onOver: (lease) => {
      for (const { upstream } of upstreams) upstream.forget(lease);
    },
    epoch: killView.epoch,
    now,
    log,
  });
  const listing = (server: string): Listing => ({
    lease: () => broker.leaseListing(server),
    release: broker.release,
  });
  const upstreams = createUpstreams({ ...config, homes, bus, children, listing, now, log });
  const record = (event: PinEvent) => evidence.record(event);
  const store = await openPinsBucket(bus);
  const pins = createPins({ store, settings: config.pinning, record, now, log });
  const records = await openToolsBucket({ bus, pins });
  await records.keepOnly(new Set(Object.keys(config.servers)));
  const catalog = createCatalog({ upstreams, records, now, log });
  const live = createLiveCalls(now);
  const runner = createRunner({
    permits: createPermitCheck({ keys: trust, now, since, upMs: () => performance.now() - startedAt }),
    witnessed: createWitnessCheck({ keys: trust, witnesses: readWitnesses(config.witnessesFile) }),
    usedPermits: createUsedPermits({ shared: createRedisMarks(redis), now }),
    kills: killView,
    catalog,
    pins,
    broker,
    live,
    limits: { callsInFlight: config.limits.calls_in_flight, resultBytes: config.limits.result_bytes },
    trust,
    log,
    now,
  });
  const all = upstreams.map(({ upstream }) => upstream);
  await Promise.race([
    Promise.all(all.map((upstream) => upstream.start())),
    new Promise((resolve) => setTimeout(resolve, firstListMs).unref()),
  ]);
  killView.onHold(runner.hold);
  serveHandlers({ bus, runner, observe: createMeter(ctx, live, all) });
  const { listed } = records;
  serveVerdicts({ bus, verdicts: createVerdicts({ store, settings: config.pinning, listed, record, now }), log });
  createGauge(
    ctx.metrics,
    'agentgate_tools_quarantined',
    'Tools that wait for an operator.',
    () => Array.from(store.all()).filter(({ offered }) => offered?.state === 'waiting').length,
  );

  const point = announcePoint({ bus, service: 'tool-runner', killView });
  return {
    close: async () => {
      await runner.drain(drainMs);
      // Only now: until here there were calls that a kill had to reach.
      point.leave();
      await Promise.all([
        broker.close(),
        records.close(),
        store.close(),
        killView.close(),
        ...all.map((upstream) => upstream.close()),
      ]);
      children.killAll();
      redis.disconnect();
    },
  };
};

const createMeter = ({ metrics }: ServiceContext, live: LiveCalls, upstreams: readonly Upstream[]) => {
  const count = createCounter(metrics, {
    name: 'agentgate_runner_calls_total',
    help: 'Calls that came to the runner by how they ended.',
    labelNames: ['outcome', 'code'],
  });
  createGauge(
    metrics,
    'agentgate_runner_calls_in_flight',
    'Calls that the runner has not answered yet.',
    () => live.size,
  );
  new Gauge({
    name: 'agentgate_upstream_up',
    help: 'Whether a tool server can take calls.',
    labelNames: ['server'],
    registers: [metrics],
    collect() {
      for (const upstream of upstreams) this.set({ server: upstream.server }, upstream.problem() === undefined ? 1 : 0);
    },
  });
  return ({ outcome, code }: { outcome: string; code: string }) => count(outcome, code);
};

if (import.meta.main) await runService({ service: 'tool-runner', env, start });
