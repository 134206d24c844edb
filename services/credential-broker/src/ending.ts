import {
  AgentGateError,
  type EventData,
  type EventDraft,
  killedCode,
  type LeaseRecord,
  type Scope,
} from '@agentgate/contracts';
import { expiryOf, type HeldLease } from './lease.ts';
import type { LeaseIndex } from './lease-index.ts';
import type { Provider } from './provider.ts';

export type WhyEnded = EventData<'lease.revoked'>['why'];

/**
 * The LEASES bucket. Writes compare and set: `conflict` means that somebody else was first. The record of a lease that ended
 * may go after a while, but not before its permit has expired: until then the record is what refuses the permit's second use.
 */
export interface LeaseRecords {
  create(record: LeaseRecord): Promise<number | 'conflict'>;
  update(record: LeaseRecord, revision: number): Promise<number | 'conflict'>;
  read(permit: string): Promise<HeldLease | undefined>;
}

export interface Evidence {
  record(draft: EventDraft): Promise<string>;
}

export interface BrokerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

interface EndingPorts {
  records: LeaseRecords;
  index: LeaseIndex;
  providerOf: (name: string) => Provider | undefined;
  evidence: Evidence;
  log: BrokerLog;
  now: () => number;
}

/** A lease that stays `revoking` so long past its end was left by a broker that died: the sweep finishes it. */
const abandonedMs = 60_000;
const sweepAtOnce = 16;

export interface Ending {
  /** Ends one lease; `conflict` when somebody else changed it meanwhile. */
  end(held: HeldLease, why: WhyEnded): Promise<LeaseRecord['state'] | 'conflict'>;
  /** Ends what should have ended by itself. */
  sweep(): Promise<void>;
  /** Ends every lease that a kill order covers. */
  revokeKilled(killed: (record: LeaseRecord) => Scope | undefined): Promise<void>;
}

export const createEnding = (ports: EndingPorts): Ending => {
  const { index, now, log } = ports;

  /** The order matters: a crash after any step leaves `revoking`, which the sweep finishes, and evidence is never lost. */
  const end: Ending['end'] = async (held, why) => {
    const claimed = await write(ports, { ...held.record, state: 'revoking' }, held.revision);
    if (claimed === 'conflict') return 'conflict';
    const { record } = claimed;
    const provider = ports.providerOf(record.provider);
    if (provider) await provider.revoke({ lease: record.id, credential: record.credential, handle: record.handle });
    else
      log.warn({ lease: record.id, provider: record.provider }, 'the provider of a lease is not configured any more');
    await ports.evidence.record(revokedEvent(record, why));
    const ended = await write(ports, { ...record, state: why === 'expired' ? 'expired' : 'revoked' }, claimed.revision);
    return ended === 'conflict' ? 'conflict' : ended.record.state;
  };

  /** Throws after the last when one could not be ended, so that the next round tries again. */
  const endAll = async (leases: HeldLease[], why: (held: HeldLease) => WhyEnded) => {
    let failed = 0;
    await inGroups(leases, async (held) => {
      try {
        await end(held, why(held));
      } catch (error) {
        failed++;
        log.warn({ err: error, lease: held.record.id }, 'a lease could not be ended; the next round tries again');
      }
    });
    if (failed > 0) throw new AgentGateError('BROKER_UNAVAILABLE', `${failed} leases could not be ended`);
  };

  return {
    end,
    sweep: async () => {
      const due = index
        .all()
        .filter(
          ({ record, revision }) =>
            revision > 0 && now() >= expiryOf(record) + (record.state === 'revoking' ? abandonedMs : 0),
        );
      if (due.length > 0) log.info({ leases: due.length }, 'ending leases that ran out');
      await endAll(due, ({ record }) => (record.state === 'active' ? 'expired' : 'swept'));
    },
    revokeKilled: async (killed) => {
      const covered = index
        .all()
        .filter(({ record, revision }) => revision > 0 && record.state !== 'revoking' && killed(record));
      for (const { record } of covered)
        log.warn(
          { lease: record.id, code: killedCode(killed(record) ?? { kind: 'global' }) },
          'a kill order ends a lease',
        );
      await endAll(covered, () => 'killed');
    },
  };
};

/** Writes a record and tells the index. */
export const write = async (
  { records, index }: Pick<EndingPorts, 'records' | 'index'>,
  record: LeaseRecord,
  revision: number,
): Promise<HeldLease | 'conflict'> => {
  const written = await records.update(record, revision);
  if (written === 'conflict') return 'conflict';
  const held = { record, revision: written };
  index.put(held);
  return held;
};

const revokedEvent = (record: LeaseRecord, why: WhyEnded): EventDraft<'lease.revoked'> => ({
  name: 'lease.revoked',
  subject: record.id,
  tenant: record.tenant,
  agent: record.agent,
  session: record.session,
  data: { lease: record.id, credential: record.credential, call: record.call, why },
});

const inGroups = async <T>(items: readonly T[], work: (item: T) => Promise<void>) => {
  for (let i = 0; i < items.length; i += sweepAtOnce) await Promise.all(items.slice(i, i + sweepAtOnce).map(work));
};
