import { setTimeout as sleep } from 'node:timers/promises';
import { killHold, killPulse, killStream, pointContain } from '@agentgate/contracts';
import { connectRedis, redisReady, requireStream, runService, type ServiceContext } from '@agentgate/runtime';
import { createKillStream } from './adapters/kill-stream.ts';
import { createNatsConnections } from './adapters/nats-connections.ts';
import { createRedisView } from './adapters/redis-view.ts';
import { createCheck } from './check.ts';
import { env, readConfig } from './config.ts';
import { createFreshness } from './freshness.ts';
import { hearPoints, serveAll } from './handlers.ts';
import { createMeters } from './metrics.ts';
import { createOrders } from './orders.ts';
import { createPoints } from './points.ts';
import type { Clock } from './ports.ts';
import { createPulse } from './pulse.ts';
import { repeat } from './repeat.ts';
import { createKillSwitch } from './service.ts';
import { createViewSync, type ViewSync } from './view-sync.ts';

/** Twice as often as a point has to hear one to hand over a call (`dispatchFreshMs` of the runner). */
const pulseMs = 500;
const expireMs = 250;
/** Every point says each second that it is there. An order taken before would count as contained without those not heard yet. */
const hearPointsMs = 1_500;
const drainMs = 5_000;

const start = async (ctx: ServiceContext) => {
  const { bus, log, health, instance } = ctx;
  const clock: Clock = { now: ctx.now, monotonic: () => performance.now(), sleep: (ms) => sleep(ms) };
  const points = createPoints(clock.monotonic);
  hearPoints(bus, points);
  const heard = sleep(hearPointsMs);
  await requireStream(bus, killStream);
  const { redisUrlFile, dualControl, accountOf } = readConfig(ctx.config, env);
  const redis = connectRedis({ urlFile: redisUrlFile, log });
  // So long the points are waited for anyway. Kills are taken without Redis, too: the view is rebuilt once it is there.
  await redisReady(redis, hearPointsMs).catch(() => {});

  const kills = createKillStream(bus);
  const { stream } = await kills.leader();
  const orders = createOrders();
  let sync: ViewSync | undefined;
  const follower = await bus.follow(killStream.name, {
    onMessage: (message) => {
      const order = orders.follow(message);
      sync?.followed(order, message.seq);
    },
  });
  const view = createRedisView({ redis, stream, instance });
  sync = createViewSync({ view, orders, stream: kills, log });
  const freshness = createFreshness({ epoch: orders.epoch, monotonic: clock.monotonic });
  const pulse = createPulse({
    leader: kills.leader,
    stream,
    orders,
    freshness,
    clock,
    tell: (body) => bus.notify(killPulse, { v: 1, instance, ...body }),
    broken: (why) => ctx.die(undefined, why),
  });
  const check = createCheck({ orders, view, sync, freshness, stream });
  const meters = createMeters(ctx.metrics, { orders, points, sync });
  const killSwitch = createKillSwitch({
    stream: kills,
    orders,
    view,
    sync,
    freshness,
    points,
    dualControl,
    connections: createNatsConnections(bus, accountOf),
    clock,
    log,
    key: ctx.key,
    onReceipt: meters.onReceipt,
    hold: (scope) => bus.notify(killHold, { v: 1, scope }),
    askPoints: (ask, gather) => bus.broadcast(pointContain, ask, gather),
    record: (draft, opts) => ctx.evidence.record(draft, opts),
  });

  const warn = (what: string) => (error: unknown) => log.warn({ err: error }, what);
  // An empty batch reads the view's marker, so that a lost view is rebuilt before a call needs it.
  const repeated = [
    repeat(pulseMs, pulse, warn('the KILL stream could not be vouched for')),
    repeat(pulseMs, async () => void (await check([])), warn('the view could not be looked at')),
    repeat(expireMs, killSwitch.expire, warn('orders whose time is over could not be lifted yet')),
  ];
  await pulse();
  await heard;
  health.check('kill view', () => sync.ready() || 'it is being rebuilt');
  health.check('kill orders', () => whyNot(orders.unreadable(), freshness.stale()));
  const served = serveAll({
    bus,
    killSwitch,
    check: meters.counted(check),
    log,
  });
  return {
    close: async () => {
      for (const work of repeated) work.stop();
      await served.idle(drainMs);
      sync.close();
      await follower.close();
      redis.disconnect();
    },
  };
};

const whyNot = (unreadable: string[], stale: boolean): true | string => {
  if (unreadable.length > 0) return `the order on ${unreadable[0]} cannot be read`;
  return !stale || "the stream's leader has not vouched for them";
};

if (import.meta.main) await runService({ service: 'kill-switch', env, start });
