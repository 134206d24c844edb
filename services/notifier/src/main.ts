import { type AlertSettings, alertsBucket, evidenceStream, notifierConsumer } from '@agentgate/contracts';
import {
  newId,
  type Running,
  required,
  requireStream,
  runService,
  type ServiceContext,
  StartError,
} from '@agentgate/runtime';
import { createAlertsBucket, keepDeadMs } from './adapters/alerts-bucket.ts';
import { systemResolve } from './adapters/checked-addresses.ts';
import { createSignatures, type Sign } from './adapters/signatures.ts';
import { createWebhookSender } from './adapters/webhook-sender.ts';
import { createAlertIndex } from './alert-index.ts';
import { env, readAlertSettings } from './config.ts';
import { createConsumerWatch } from './consumer-watch.ts';
import { createCourier } from './courier.ts';
import { createEntryHandler, serveOperators } from './handlers.ts';
import { createMeters } from './metrics.ts';
import { createNotifier } from './service.ts';

/** So much later than due an alert is tried at most. */
const wakeMs = 250;
const forgetMs = 60_000;
/** Each is a record to be fsynced, before the couriers' own; more at a time are no faster. */
const eventsAtATime = 16;
const lookMs = 5_000;

const start = async (ctx: ServiceContext): Promise<Running> => {
  const { bus, log, now } = ctx;
  const evidence = required(ctx.auditBus, 'AGENTGATE_AUDIT_CREDS');
  const { endpoints } = readAlertSettings(ctx.config);
  const sign = createSignatures({ endpoints, environment: (name) => env[name], log });
  await requireSecrets(endpoints, sign);
  await Promise.all([requireStream(bus, alertsBucket), requireStream(evidence, evidenceStream)]);

  const index = createAlertIndex();
  const records = createAlertsBucket(bus);
  const counts = createMeters(ctx.metrics, { index, endpoints: Object.keys(endpoints), now });
  const send = createWebhookSender({ endpoints, sign, resolve: systemResolve, now });
  const feed = await records.feed(index, (err, key) => log.warn({ err, key }, 'an alert cannot be read and is none'));
  const courier = createCourier({
    endpoints: new Set(Object.keys(endpoints)),
    records,
    index,
    send,
    now,
    random: Math.random,
    counts,
    log,
  });
  const newEventId = () => newId('evt', now());
  const notifier = createNotifier({ endpoints, records, index, courier, send, newEventId, now, counts, log });
  ctx.health.check('audit-nats', () => evidence.connected() || 'not connected in account AUDIT');
  serveOperators({ bus, notifier, log });
  // Also where no endpoint is configured: the first one that is shall not be told of all that ever happened.
  const consumption = evidence.consume(notifierConsumer.stream, notifierConsumer.name, {
    maxMessages: eventsAtATime,
    onMessages: createEntryHandler({ notifier, keys: ctx.trust, counts, log }),
  });
  const watch = createConsumerWatch(evidence, log);
  ctx.health.check('consumer', () => watch.problem() ?? true);
  const timers = [
    setInterval(() => void watch.look(), lookMs),
    setInterval(courier.wake, wakeMs),
    setInterval(() => index.forget(new Date(now() - keepDeadMs).toISOString()), forgetMs),
  ];
  courier.wake();
  return {
    close: async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all([consumption.close(), courier.close()]);
      await feed.close();
    },
  };
};

/** An endpoint that nothing can be signed for would only be found out about when something has happened. */
const requireSecrets = async (endpoints: AlertSettings['endpoints'], sign: Sign): Promise<void> => {
  for (const endpoint of Object.keys(endpoints))
    await sign(endpoint, { id: 'start', at: new Date(0), body: '' }).catch((error: Error) => {
      throw new StartError(error.message);
    });
};

if (import.meta.main) await runService({ service: 'notifier', env, start });
