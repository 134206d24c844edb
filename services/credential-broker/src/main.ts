import { type Code, killStream, leasesBucket, subjectsBucket } from '@agentgate/contracts';
import {
  announcePoint,
  createGauge,
  createKillView,
  newId,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { Counter } from 'prom-client';
import { createJwtKeys } from './adapters/jwt-keys.ts';
import { createLeaseBucket } from './adapters/lease-bucket.ts';
import { createRevokedTokens } from './adapters/revoked-tokens.ts';
import { createSealingKey } from './adapters/sealing-key.ts';
import { warnOfMissingFiles } from './adapters/secret-source.ts';
import { createSubjectBucket } from './adapters/subject-bucket.ts';
import { createSubjectVerifier } from './adapters/subject-verifier.ts';
import { env, readBrokerConfig } from './config.ts';
import { serveBroker, type Verb } from './handlers.ts';
import { createLeaseIndex, type LeaseIndex } from './lease-index.ts';
import { createOffers } from './offers.ts';
import { createBrokerOperators } from './operators.ts';
import { createListingCheck, createPermitCheck } from './permit.ts';
import { startRounds } from './rounds.ts';
import { createRunnerKeyCheck } from './runner-key.ts';
import { createLeaseSecrets } from './secrets.ts';
import { type BrokerPorts, createBroker } from './service.ts';
import { createSubjects } from './subjects.ts';

/** Well within what the runner waits, so that it hears what failed. */
const evidenceMs = 1_000;

const start = async (ctx: ServiceContext) => {
  const { bus, log, trust, evidence, now } = ctx;
  await Promise.all([killStream, leasesBucket, subjectsBucket].map((stream) => requireStream(bus, stream)));
  const config = readBrokerConfig(ctx.config, env);
  await warnOfMissingFiles(config.credentials, log);
  const secrets = createLeaseSecrets(config.brokerKey);
  const keys = createJwtKeys(config.jwt.keyFile, now);
  const offers = await createOffers({ config, keys, secrets, log, now });
  const index = createLeaseIndex();
  const records = createLeaseBucket(bus, now);
  const revoked = createRevokedTokens(index, now);
  // Not ours to guess what it was; its key still stands, so its permit stays used.
  const feed = await records.feed(index, (err, key) => log.warn({ err, key }, 'a lease record cannot be read'));
  const kills = await createKillView({ bus });
  const subjects = createSubjects({
    verify: createSubjectVerifier(config.subjectTokens, now),
    records: createSubjectBucket(bus),
    secrets,
    newId: () => newId('sub'),
    now,
  });
  const ports: BrokerPorts = {
    permit: createPermitCheck({ keys: trust, now }),
    listing: createListingCheck({ keys: trust, now }),
    runnerKey: createRunnerKeyCheck(() => trust.keysOf('tool-runner')),
    kills,
    offers,
    records,
    index,
    secrets,
    subjects,
    sealing: createSealingKey(),
    evidence: { record: (draft) => evidence.record(draft, { timeoutMs: evidenceMs }) },
    log,
    now,
  };
  const broker = createBroker(ports);
  const operators = createBrokerOperators({ ...ports, broker, instance: bus.instance });
  ctx.health.check('kill view', () => kills.stale() ?? true);
  ctx.http.route('/jwks.json', async () => document('application/jwk-set+json', await keys.published()));
  ctx.http.route('/revoked.json', () => document('application/json', revoked.document()));
  const rounds = startRounds({ broker, epoch: kills.epoch, log });
  const point = announcePoint({ bus, service: 'credential-broker', killView: kills });
  kills.onHold(broker.hold);
  serveBroker({ bus, broker, subjects, operators, log, observe: createMeter(ctx, index) });
  return {
    close: async () => {
      await rounds.stop();
      point.leave();
      await broker.settled();
      await Promise.all([feed.close(), kills.close(), ...[...offers.values()].map(({ provider }) => provider.close())]);
    },
  };
};

const document = (type: string, body: object) => ({ status: 200, type, body: JSON.stringify(body) });

const createMeter = ({ metrics }: ServiceContext, index: LeaseIndex) => {
  const asks = new Counter({
    name: 'agentgate_lease_asks_total',
    help: 'What was asked of the broker, by how it ended.',
    labelNames: ['verb', 'code'],
    registers: [metrics],
  });
  createGauge(metrics, 'agentgate_leases_open', 'Leases that somebody still has to end.', () => index.size());
  createGauge(
    metrics,
    'agentgate_leases_irrevocable',
    'Leases that could not be ended: an alarm until a person resolves each.',
    () => index.inState('irrevocable'),
  );
  return (verb: Verb, code: Code) => asks.inc({ verb, code });
};

if (import.meta.main) await runService({ service: 'credential-broker', env, start });
