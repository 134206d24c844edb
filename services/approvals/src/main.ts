import {
  approvalDomain,
  approvalLines,
  approvalsBucket,
  describeScope,
  killRecord,
  killStream,
} from '@agentgate/contracts';
import { canonical, sealBatch } from '@agentgate/evidence';
import {
  announcePoint,
  createGauge,
  createKillView,
  newId,
  requireStream,
  runService,
  type ServiceContext,
} from '@agentgate/runtime';
import { createApprovalsBucket } from './adapters/approvals-bucket.ts';
import { createApprovalIndex } from './approval-index.ts';
import { env, readApprovalsConfig } from './config.ts';
import { serveApprovals } from './handlers.ts';
import type { Grants } from './ports.ts';
import { createApprovals } from './service.ts';

/** Well within what policy waits, so that it hears what failed. */
const evidenceMs = 900;
/** What is past its time, or killed while nobody told us, ends so much later at most. It is refused at once, whoever asks. */
const sweepMs = 5_000;

const start = async (ctx: ServiceContext) => {
  const { bus, log, evidence, key, now } = ctx;
  const config = readApprovalsConfig(ctx.config);
  await Promise.all([requireStream(bus, killStream), requireStream(bus, approvalsBucket)]);
  const index = createApprovalIndex();
  const records = createApprovalsBucket(bus);
  const feed = await records.feed(index, (err, key) =>
    log.warn({ err, key }, 'an approval cannot be read and is none'),
  );
  const kills = await createKillView({ bus });
  const grants: Grants = {
    seal: (claims) => {
      const [seal] = sealBatch({ domain: approvalDomain, lines: approvalLines, leaves: [canonical(claims)], key });
      if (!seal) throw new Error('a grant was not sealed');
      return { claims, seal };
    },
  };
  const approvals = createApprovals({
    records,
    index,
    evidence: { record: (draft) => evidence.record(draft, { timeoutMs: evidenceMs }) },
    grants,
    kills,
    newId: () => newId('apr', now()),
    now,
    ttlMs: config.ttl_s * 1_000,
    rolesOf: (person) => (Object.hasOwn(config.people, person) ? (config.people[person]?.roles ?? []) : []),
  });
  ctx.health.check('kill view', () => kills.stale() ?? true);
  createGauge(ctx.metrics, 'agentgate_approvals_open', 'Approvals that wait or were granted and not used.', () =>
    index.size(),
  );
  serveApprovals({ bus, approvals, kills, log });
  // Also orders that came and ended while nobody was here: what was asked for before is not for after.
  const orders = await bus.follow(killStream.name, {
    onMessage: ({ data, seq }) => {
      const order = killRecord.safeParse(JSON.parse(new TextDecoder().decode(data)));
      const { scope, at } = order.success ? order.data : { scope: { kind: 'global' as const }, at: undefined };
      approvals
        .voidScope({ epoch: seq, scope, why: `${describeScope(scope)} was killed`, askedBefore: at })
        .catch((error: unknown) => log.warn({ err: error, scope }, 'approvals of a killed scope are not voided yet'));
    },
  });
  const point = announcePoint({ bus, service: 'approvals', killView: kills });
  let sweeping = false;
  const timer = setInterval(() => {
    if (sweeping) return;
    sweeping = true;
    approvals
      .sweep()
      .catch((error: unknown) => log.warn({ err: error }, 'approvals past their time could not be ended yet'))
      .finally(() => {
        sweeping = false;
      });
  }, sweepMs);
  return {
    close: async () => {
      clearInterval(timer);
      point.leave();
      await Promise.all([feed.close(), kills.close(), orders.close()]);
    },
  };
};

if (import.meta.main) await runService({ service: 'approvals', env, start });
