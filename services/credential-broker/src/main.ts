import { type Code, killStream, leasesBucket } from '@agentgate/contracts';
import { createGauge, createKillView, requireStream, runService, type ServiceContext } from '@agentgate/runtime';
import { Counter } from 'prom-client';
import { createLeaseBucket } from './adapters/lease-bucket.ts';
import { createSealingKey } from './adapters/sealing-key.ts';
import { env, readBrokerConfig } from './config.ts';
import { serveBroker } from './handlers.ts';
import { createLeaseIndex, type LeaseIndex } from './lease-index.ts';
import { createOffers } from './offers.ts';
import { createPermitCheck } from './permit.ts';
import { startRounds } from './rounds.ts';
import { createRunnerKeyCheck } from './runner-key.ts';
import { createBroker } from './service.ts';

/** Well within what the runner waits, so that it hears what failed. */
const evidenceMs = 1_000;

const start = async (ctx: ServiceContext) => {
  const { bus, log, trust, evidence, now } = ctx;
  await Promise.all([requireStream(bus, killStream), requireStream(bus, leasesBucket)]);
  const { offers, jwks } = await createOffers(readBrokerConfig(ctx.config, env), log);
  const index = createLeaseIndex();
  const records = createLeaseBucket(bus);
  const feed = await records.feed(index, log);
  const kills = await createKillView({ bus });
  const broker = createBroker({
    permit: createPermitCheck({ keys: trust, now }),
    runnerKey: createRunnerKeyCheck(() => trust.keysOf('tool-runner')),
    kills,
    offers,
    records,
    index,
    sealing: createSealingKey(),
    evidence: { record: (draft) => evidence.record(draft, { timeoutMs: evidenceMs }) },
    log,
    now,
  });
  ctx.health.check('kill view', () => kills.stale() ?? true);
  ctx.http.route('/jwks.json', () => ({ status: 200, type: 'application/jwk-set+json', body: JSON.stringify(jwks) }));
  const rounds = await startRounds({ broker, epoch: kills.epoch, log });
  serveBroker({ bus, broker, log, observe: createMeter(ctx, index) });
  return {
    close: async () => {
      await rounds.stop();
      await broker.settled();
      await Promise.all([feed.close(), kills.close()]);
    },
  };
};

const createMeter = ({ metrics }: ServiceContext, index: LeaseIndex) => {
  const asks = new Counter({
    name: 'agentgate_lease_asks_total',
    help: 'What was asked of the broker, by how it ended.',
    labelNames: ['verb', 'code'],
    registers: [metrics],
  });
  createGauge(metrics, 'agentgate_leases_open', 'Leases that somebody still has to end.', () => index.size());
  return (verb: 'lease' | 'release', code: Code) => asks.inc({ verb, code });
};

await runService({ service: 'credential-broker', env, start });
