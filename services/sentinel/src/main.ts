import {
  evidenceStream,
  incidentsBucket,
  killOrder,
  killRecord,
  killStream,
  sentinelBucket,
} from '@agentgate/contracts';
import { requireStream, runService, type ServiceContext, StartError } from '@agentgate/runtime';
import { createIncidentsBucket } from './adapters/incidents-bucket.ts';
import { createPositionBucket } from './adapters/position-bucket.ts';
import { env, readConfig } from './config.ts';
import { startFeed } from './feed.ts';
import { serveIncidents } from './handlers.ts';
import { createIncidentIndex } from './incident-index.ts';
import { createIncidents } from './incidents.ts';
import { createMeters } from './metrics.ts';
import { createOpener } from './opener.ts';
import { createEventReader } from './read-event.ts';
import { compileRules } from './rules.ts';
import { createWatch } from './watch.ts';
import { emptyState, forRules } from './watch-state.ts';

const tickMs = 1_000;
const evidenceMs = 2_000;
/** After a start with much to catch up with, it is no fault yet. */
const catchUpMs = 60_000;
/** More is late, not busy. */
const behindMost = 10_000;

const start = async (ctx: ServiceContext) => {
  const { bus, auditBus, log, health, now } = ctx;
  const { containment, baits } = readConfig(ctx.config);
  if (!auditBus) throw new StartError('AGENTGATE_AUDIT_CREDS: must be set');
  await Promise.all([
    requireStream(auditBus, evidenceStream),
    requireStream(bus, incidentsBucket),
    requireStream(bus, sentinelBucket),
    requireStream(bus, killStream),
  ]);
  const rules = compileRules(containment);
  const positions = createPositionBucket(bus, log);
  const position = await positions.load();
  const watch = createWatch(rules, forRules(position?.state ?? emptyState(), rules.digest));
  const records = createIncidentsBucket(bus);
  const index = createIncidentIndex();
  const indexed = await records.feed(index, (err, key) => log.error({ err, key }, 'an incident cannot be read'));
  let behind = () => 0;
  const meters = createMeters(ctx.metrics, { watch, index, behind: () => behind() });
  const incidents = createIncidents({
    records,
    index,
    order: async (ask) => bus.ask(killOrder, { v: 1, ...ask }),
    evidence: { record: (draft) => ctx.evidence.record(draft, { timeoutMs: evidenceMs }) },
    now,
    log,
    onOrder: meters.onOrder,
  });
  let isCaughtUp = () => false;
  const opener = createOpener({ watch, incidents, log, isReady: () => isCaughtUp() });
  const feed = await startFeed({
    bus: auditBus,
    positions,
    from: position?.seq,
    watch,
    reader: createEventReader({ keys: ctx.trust, baits, asksFor: rules.asksFor, isWanted: rules.isWanted }),
    log,
    onPending: () => opener.wake(),
    onRefused: meters.onRefused,
    broken: (why) => ctx.die(undefined, why),
  });
  behind = feed.behind;
  isCaughtUp = feed.caughtUp;
  const lifts = await bus.follow(killStream.name, {
    onMessage: ({ data, seq }) => {
      const { success, data: order } = killRecord.safeParse(JSON.parse(new TextDecoder().decode(data)));
      if (!success || order.state !== 'lifted') return;
      incidents
        .lifted({ ...order, epoch: seq })
        .catch((error: unknown) => log.warn({ err: error, scope: order.scope }, 'an incident is not released yet'));
    },
  });
  serveIncidents({ bus, incidents, log });

  let problem: string | undefined;
  let ticking = false;
  const tick = async () => {
    opener.retry();
    // An order that nobody took is asked for again, also while nothing can be written down.
    const [written, swept] = await Promise.allSettled([feed.tick(), incidents.sweep()]);
    if (written.status === 'rejected') throw written.reason;
    if (swept.status === 'rejected') throw swept.reason;
  };
  const timer = setInterval(() => {
    if (ticking) return;
    ticking = true;
    tick()
      .then(() => {
        problem = undefined;
      })
      .catch((error: unknown) => {
        problem = 'evidence or the incidents cannot be reached';
        log.warn({ err: error }, problem);
      })
      .finally(() => {
        ticking = false;
      });
  }, tickMs);
  const startedAt = now();
  health.check('evidence', () => {
    if (problem !== undefined) return problem;
    if (feed.isOld()) return 'EVIDENCE ends before what was counted already: nothing new counts until it is past that';
    const late = feed.behind() > behindMost && now() - startedAt > catchUpMs;
    return late ? `${feed.behind()} events are not looked at yet` : auditBus.connected() || 'not connected';
  });
  log.info({ rules: rules.size }, rules.size === 0 ? 'no rule of containment is set' : 'watching');
  return {
    close: async () => {
      clearInterval(timer);
      await feed.close();
      await opener.idle();
      await feed.tick().catch((error: unknown) => log.warn({ err: error }, 'what was counted is not written down'));
      await Promise.all([indexed.close(), lifts.close()]);
    },
  };
};

if (import.meta.main) await runService({ service: 'sentinel', env, start });
