import type { Bus, ConsumedMessage } from '@agentgate/bus';
import { auditConsumer, auditStream, evidenceStream } from '@agentgate/contracts';
import { type Running, required, requireStream, runService, type ServiceContext } from '@agentgate/runtime';
import { createEvidenceStream } from './adapters/evidence-stream.ts';
import { openSqliteLog } from './adapters/sqlite-log.ts';
import { createAnomalyReporter } from './anomaly-reporter.ts';
import { env, graceTicks, readAuditConfig } from './config.ts';
import { everySecond } from './every-second.ts';
import { createHandlers } from './handlers.ts';
import { createMetrics } from './metrics.ts';
import { createOrphanWatch } from './open-calls.ts';
import { createPublisher } from './publisher.ts';
import { createAudit } from './service.ts';

const closeMs = 3_000;

const start = async (ctx: ServiceContext): Promise<Running> => {
  const { now, log, die } = ctx;
  const config = readAuditConfig(ctx.config);
  const bus: Bus = required(ctx.auditBus, 'AGENTGATE_AUDIT_CREDS');
  for (const spec of [auditStream, evidenceStream]) await requireStream(bus, spec);

  const store = openSqliteLog(config.folder);
  const audit = createAudit<ConsumedMessage>({
    store,
    keys: ctx.trust,
    now,
    graceTicks: graceTicks(auditConsumer.ackWaitMs),
    maxHeld: auditConsumer.maxAckPending / 2,
  });
  const publisher = createPublisher({
    source: store,
    stream: createEvidenceStream(bus),
    log,
    onMismatch: (error) => die(error, 'the evidence log and EVIDENCE contradict each other'),
  });
  const reporter = createAnomalyReporter(store, (draft) => ctx.evidence.record(draft));
  const untold = (error: unknown) => log.warn({ err: error }, 'an anomaly is not in evidence yet');
  const metrics = createMetrics(ctx.metrics, { size: store.size, held: audit.held, behind: publisher.behind });
  const onTaken = () => {
    publisher.wake();
    reporter.report().catch(untold);
  };
  const handlers = createHandlers({ audit, metrics, log, onTaken, die });
  const orphans = createOrphanWatch({
    backlog: { state: () => bus.streamInfo(auditStream.name) },
    now,
    reportOrphans: handlers.reportOrphans,
  });

  bus.onState((state) => {
    audit.forgetHeld();
    if (state === 'connected') publisher.resync();
  });
  const consumption = bus.consume(auditConsumer.stream, auditConsumer.name, {
    maxMessages: auditConsumer.maxAckPending,
    // Nobody waits for the log: a commit and an fsync serve what 25 ms bring.
    lingerMs: 25,
    onMessages: handlers.onMessages,
  });
  const ticks = everySecond(
    async () => {
      await handlers.tick();
      if (!bus.connected()) return;
      await orphans.tick();
      await reporter.report();
    },
    (error) => log.warn({ err: error }, 'a periodic check of the evidence failed'),
  );
  ctx.health.check('audit-nats', () => bus.connected() || 'not connected in account AUDIT');
  log.info({ entries: store.size() }, 'the evidence log is open');

  return {
    close: async () => {
      await consumption.close();
      await ticks.stop();
      await publisher.close(closeMs);
      store.close();
    },
  };
};

await runService({ service: 'audit', env, start });
