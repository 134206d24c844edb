import { join } from 'node:path';
import type { Bus, ConsumedMessage } from '@agentgate/bus';
import { auditConsumer, auditStream, deploymentProducer, eventsSubject, evidenceStream } from '@agentgate/contracts';
import {
  newId,
  type Running,
  readWitnesses,
  required,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { createEvidenceStream } from './adapters/evidence-stream.ts';
import { createLogEntries } from './adapters/log-entries.ts';
import { createLogHttp } from './adapters/log-http.ts';
import { openSqliteDisclosures } from './adapters/sqlite-disclosures.ts';
import { createAnomalyReporter } from './anomaly-reporter.ts';
import { env, graceTicks, readAuditConfig } from './config.ts';
import { createErasure } from './erasure.ts';
import { serveErasure } from './erasure-handlers.ts';
import { everySecond } from './every-second.ts';
import { bunchEvents, createHandlers, eventsIn } from './handlers.ts';
import { createMetrics } from './metrics.ts';
import { createOrphanWatch } from './open-calls.ts';
import { openLog } from './open-log.ts';
import { createPublisher } from './publisher.ts';
import { createAudit } from './service.ts';
import { createWitnessing } from './witnessing.ts';

const closeMs = 3_000;
const heartbeatMs = 60_000;
/** A checkpoint is made when so many events wait, half of the batches that may, or the first of them for so long. */
const checkpointEvents = 256;
const checkpointMs = 100;
const batchWeight = checkpointEvents / (auditConsumer.maxAckPending / 2);

const start = async (ctx: ServiceContext): Promise<Running> => {
  const { now, log, die } = ctx;
  const config = readAuditConfig(ctx.config, env);
  const bus: Bus = required(ctx.auditBus, 'AGENTGATE_AUDIT_CREDS');
  for (const spec of [auditStream, evidenceStream]) await requireStream(bus, spec);

  const witnessing = createWitnessing(ctx, {
    folder: join(config.folder, 'log'),
    trusted: readWitnesses(config.witnessesFile),
  });
  let onPublished = () => {};
  const opened = await openLog(config, {
    now,
    cosign: witnessing.cosign,
    onPublished: () => onPublished(),
    onTrouble: (err, what) => log.warn({ err }, what),
    onFailure: die,
    onWait: () => log.info('another audit sequences the log; waiting'),
  });
  const { store, folder, sequencer } = opened;
  // Only the one that sequences opens it: whoever waits for the lease holds nothing.
  const disclosures = openSqliteDisclosures(config.folder);
  const audit = createAudit<ConsumedMessage>({
    store,
    disclosures: { keep: (disclosed) => disclosures.transaction(() => disclosures.keep(disclosed)) },
    tree: {
      push: (entry) => {
        const index = sequencer.size;
        sequencer.push(entry);
        witnessing.onAppended(entry, index);
      },
      edge: sequencer.edge,
      published: sequencer.published,
    },
    keys: ctx.trust,
    now,
    graceTicks: graceTicks(auditConsumer.ackWaitMs),
    maxHeld: auditConsumer.maxAckPending / 2,
  });
  const publisher = createPublisher({
    source: createLogEntries({ store, folder, sequencer }),
    // As many as a transaction appends, or EVIDENCE would fall behind at full load.
    inFlight: bunchEvents,
    stream: createEvidenceStream(bus),
    log,
    onMismatch: (error) => die(error, 'the evidence log and EVIDENCE contradict each other'),
  });
  onPublished = publisher.wake;
  const reporter = createAnomalyReporter(store, (draft) => ctx.evidence.record(draft));
  const untold = (error: unknown) => log.warn({ err: error }, 'an anomaly is not in evidence yet');
  const erasure = createErasure({
    store: disclosures,
    record: (draft) => ctx.evidence.record(draft),
    now,
    newHold: () => newId('hold', now()),
    onUntold: (err) => log.warn({ err }, 'an erasure or a hold is not in evidence yet'),
  });
  serveErasure({ bus: ctx.bus, erasure, log });
  const metrics = createMetrics(ctx.metrics, {
    size: store.size,
    published: () => sequencer.published().size,
    held: audit.held,
    behind: publisher.behind,
  });
  const handlers = createHandlers({
    audit,
    checkpoint: () =>
      sequencer.checkpoint().catch((error: unknown) => die(error, 'a checkpoint could not be made durable')),
    metrics,
    log,
    onTaken: () => void reporter.report().catch(untold),
    die,
  });
  const orphans = createOrphanWatch({
    backlog: { state: () => bus.streamInfo(auditStream.name) },
    now,
    monotonic: () => performance.now(),
    onCaughtUp: handlers.onCaughtUp,
  });

  // Before the first event of a service: from here on the log itself says whose key it must be.
  await handlers.onMessages(config.keyEvents.map(keyEvent));
  bus.onState((state) => {
    audit.forgetHeld();
    if (state === 'connected') publisher.resync();
  });
  const consumption = bus.consume(auditConsumer.stream, auditConsumer.name, {
    maxMessages: auditConsumer.maxAckPending,
    linger: {
      ms: checkpointMs,
      weigh: (message) => Math.max(eventsIn(message), batchWeight),
      until: checkpointEvents,
    },
    onMessages: handlers.onMessages,
  });
  const ticks = everySecond(
    async () => {
      await handlers.tick();
      for (const anomaly of witnessing.tick()) handlers.report(anomaly);
      if (!bus.connected()) return;
      await orphans.tick();
      await reporter.report();
      await erasure.tell();
    },
    (error) => log.warn({ err: error }, 'a periodic check of the evidence failed'),
  );
  const heartbeat = setInterval(() => void sequencer.heartbeat().catch(() => {}), heartbeatMs);
  ctx.http.routesUnder('/log/', createLogHttp(folder));
  witnessing.serve();
  ctx.health.check('audit-nats', () => bus.connected() || 'not connected in account AUDIT');
  log.info({ entries: store.size() }, 'the evidence log is open');

  return {
    close: async () => {
      clearInterval(heartbeat);
      await consumption.close();
      await ticks.stop();
      await publisher.close(closeMs);
      await opened.close();
      witnessing.close();
      disclosures.close();
    },
  };
};

/** A batch of the deployment's, as if it had come over NATS, where nobody may send one. */
const keyEvent = (line: string): ConsumedMessage => ({
  subject: eventsSubject(deploymentProducer),
  seq: 0,
  data: Buffer.from(line),
  redelivered: false,
  ack: () => {},
  nak: () => {},
});

if (import.meta.main) await runService({ service: 'audit', env, start });
