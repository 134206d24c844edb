import type { BucketRecords } from '@agentgate/bus';
import {
  AgentGateError,
  type EventDraft,
  killedCode,
  type LeaseEnd,
  type LeaseProof,
  type LeaseRecord,
  type Scope,
} from '@agentgate/contracts';
import pLimit from 'p-limit';
import { atProvider } from './at-provider.ts';
import { dueFor, expiryOf, type HeldLease } from './lease.ts';
import type { LeaseIndex } from './lease-index.ts';
import type { Offer, Probe } from './provider.ts';
import type { LeaseSecrets } from './secrets.ts';
import { within } from './within.ts';

/**
 * The LEASES bucket. Writes compare and set: `conflict` means that somebody else was first. The record of a lease that ended
 * may go after a while, but not before its permit has expired: until then the record is what refuses the permit's second use.
 */
export interface LeaseRecords extends Pick<BucketRecords<LeaseRecord>, 'create' | 'update' | 'read'> {
  /** Marks a permit as used for a lease that another one made. */
  use(permit: string, lease: string): Promise<'used' | 'conflict'>;
}

export interface Evidence {
  record(draft: EventDraft): Promise<string>;
}

export interface BrokerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface EndingPorts {
  records: LeaseRecords;
  index: LeaseIndex;
  /** The credentials of agentgate.yaml by name. */
  offers: ReadonlyMap<string, Offer>;
  secrets: LeaseSecrets;
  evidence: Evidence;
  log: BrokerLog;
  now: () => number;
}

/** Who ends a lease and why, for the record. */
export interface EndOrder {
  why: LeaseEnd;
  by?: string | undefined;
  reason?: string | undefined;
}

export type Ended =
  | { state: 'revoked' | 'expired'; proof: LeaseProof; revokeMs: number; probeMs: number }
  /** It goes on being tried, or a person has to. */
  | { state: 'revoking' | 'irrevocable'; problem: string }
  /** Somebody else changed it meanwhile. */
  | { state: 'conflict' };

export interface Ending {
  /** Ends one lease at its provider, tries to use it, and only then calls it ended. Rejects where records or evidence do not answer. */
  end(held: HeldLease, order: EndOrder): Promise<Ended>;
  /** What becomes of a lease that this broker is ending at this moment; told as soon as it is proven, before it is on record. */
  underWay(permit: string): Promise<Ended> | undefined;
  /** Ends these, several at once; rejects only after all were tried. */
  endAll(leases: readonly HeldLease[], order: (held: HeldLease) => EndOrder): Promise<Ended[]>;
  /** Ends what should have ended by itself, and goes on with what could not be ended before. */
  sweep(): Promise<void>;
  /** Ends every lease that a kill order covers. */
  revokeKilled(killed: (record: LeaseRecord) => Scope | undefined): Promise<void>;
}

/** After the first try that failed, the second, … The sixth leaves it to a person. */
const pausesMs = [1_000, 2_000, 4_000, 8_000, 16_000];
const maxTries = pausesMs.length + 1;
/** So long a broker that took an end upon itself is left alone with it; a dead one's is taken over after. */
const claimMs = 15_000;
const providerMs = 5_000;
const endAtOnce = 16;

export const createEnding = (ports: EndingPorts): Ending => {
  const { index, evidence, now, log } = ports;

  const running = new Map<string, Promise<Ended>>();
  const end: Ending['end'] = (held, order) => {
    const { permit } = held.record;
    const { promise: proven, resolve, reject } = Promise.withResolvers<Ended>();
    const whole = endOnce(held, order, resolve);
    // What has no proof is told of at its end; whoever asked for the whole hears of its failure.
    whole.then(resolve, reject);
    proven.catch(() => {});
    // Whoever comes second meets a conflict; the first one's word is waited for.
    if (!running.has(permit)) running.set(permit, proven);
    return whole.finally(() => {
      if (running.get(permit) === proven) running.delete(permit);
    });
  };

  /**
   * The order matters: a crash after any step leaves `revoking`, which the sweep finishes, and evidence is never lost. Where a kill did not wait for
   * its record, the record may still say `active`: the order stands, so the lease is ended again.
   */
  const endOnce = async (
    held: HeldLease,
    { why, by, reason }: EndOrder,
    onProven: (ended: Ended) => void,
  ): Promise<Ended> => {
    const before = held.record.ending;
    const ending: LeaseRecord['ending'] = {
      why: before?.why ?? why,
      ...defined({ by: by ?? before?.by, reason: reason ?? before?.reason }),
      tries: triesBefore(held.record, why, now()),
      next_at: new Date(now() + claimMs).toISOString(),
    };
    const claiming = write(ports, { ...held.record, state: 'revoking', ending }, held.revision);
    // What a kill covers has to go whoever ends it, so it does not wait for the disk. What is being made could still come after.
    const atOnce = why === 'killed' && held.record.state === 'active' ? endAtProvider(ports, held.record) : undefined;
    // It is waited for below, unless the claim fails.
    atOnce?.catch(() => {});
    const claimed = await claiming;
    if (claimed === 'conflict') return { state: 'conflict' };
    let proven: { probe: Probe; revokeMs: number; probeMs: number };
    try {
      proven = await (atOnce ?? endAtProvider(ports, claimed.record));
    } catch (error) {
      return await failed(claimed, error);
    }
    const proof = proofOf(proven.probe);
    const state = ending.why === 'expired' ? 'expired' : 'revoked';
    const { revokeMs, probeMs } = proven;
    onProven({ state, proof, revokeMs, probeMs });
    await evidence.record(revokedEvent(claimed.record, ending, proof));
    const { handle: _, ...rest } = claimed.record;
    const ended = await write(ports, { ...rest, state, proof: proof.kind }, claimed.revision);
    if (ended === 'conflict') return { state: 'conflict' };
    return { state, proof, revokeMs, probeMs };
  };

  const failed = async ({ record, revision }: HeldLease, error: unknown): Promise<Ended> => {
    const problem = (error instanceof AgentGateError ? error.message : 'the provider failed').slice(0, 512);
    const tries = (record.ending?.tries ?? 0) + 1;
    const last = tries >= maxTries;
    const ending = {
      ...(record.ending ?? { why: 'swept' as const }),
      tries,
      next_at: new Date(now() + (pausesMs[tries - 1] ?? 0)).toISOString(),
      problem,
    };
    if (last) {
      log.error(
        { err: error, lease: record.id, tries },
        'ALARM: a lease cannot be ended; end it at its provider by hand, then `agentgate leases resolve`',
      );
      await evidence.record(irrevocableEvent(record, tries, problem));
    } else log.warn({ err: error, lease: record.id, tries }, 'a lease could not be ended; it is tried again');
    const state = last ? 'irrevocable' : 'revoking';
    const written = await write(ports, { ...record, state, ending }, revision);
    return written === 'conflict' ? { state: 'conflict' } : { state, problem };
  };

  const endAll: Ending['endAll'] = async (leases, order) => {
    const ended: Ended[] = [];
    const errors: unknown[] = [];
    await inGroups(leases, async (held) => {
      try {
        ended.push(await end(held, order(held)));
      } catch (error) {
        errors.push(error);
        log.warn({ err: error, lease: held.record.id }, 'the end of a lease could not be recorded; it is tried again');
      }
    });
    if (errors.length > 0)
      throw new AgentGateError('BROKER_UNAVAILABLE', `the end of ${errors.length} leases could not be recorded`, {
        cause: errors[0],
      });
    return ended;
  };

  return {
    end,
    underWay: (permit) => running.get(permit),
    endAll,
    sweep: async () => {
      const due = index.all().filter(({ record }) => dueFor(record, now()) !== undefined);
      if (due.length === 0) return;
      log.info({ leases: due.length }, 'ending leases that ran out or were left');
      await endAll(due, ({ record }) => ({ why: dueFor(record, now()) ?? 'swept' }));
    },
    revokeKilled: async (killed) => {
      const covered = index
        .all()
        .filter(({ record }) => (record.state === 'active' || record.state === 'intended') && killed(record));
      for (const { record } of covered)
        log.warn(
          { lease: record.id, code: killedCode(killed(record) ?? { kind: 'global' }) },
          'a kill order ends a lease',
        );
      await endAll(covered, () => ({ why: 'killed' }));
    },
  };
};

/** Tries that count. A kill's before its turn does not: orders that are repeated while a provider is down must not use up what the sweep has left. */
const triesBefore = ({ state, ending }: LeaseRecord, why: LeaseEnd, now: number): number => {
  if (state === 'irrevocable') return maxTries - 1;
  const tries = ending?.tries ?? 0;
  const isEarly = why === 'killed' && ending?.problem !== undefined && now < Date.parse(ending.next_at);
  return isEarly ? tries - 1 : tries;
};

/** What such a provider gave ends by itself alone, so there is nothing to do at one that is not configured any more. */
const endsByItself: readonly LeaseRecord['provider'][] = ['static', 'jwt', 'aws-sts'];

const endAtProvider = async ({ offers, secrets }: EndingPorts, record: LeaseRecord) => {
  const provider = offers.get(record.credential)?.provider;
  if (!provider || provider.kind !== record.provider) {
    const problem = `credential ${record.credential} of provider ${record.provider} is not configured any more`;
    if (!endsByItself.includes(record.provider)) throw new AgentGateError('CREDENTIAL_UNAVAILABLE', problem);
    return { probe: { state: 'unprovable' as const, detail: problem }, revokeMs: 0, probeMs: 0 };
  }
  const lease = await atProvider(record, secrets);
  const began = performance.now();
  await within(providerMs, provider.revoke(lease), `credential ${record.credential} was not ended`);
  const revoked = performance.now();
  const probe = await within(providerMs, provider.probe(lease), `credential ${record.credential} could not be tried`);
  if (probe.state === 'alive')
    throw new AgentGateError(
      'CREDENTIAL_UNAVAILABLE',
      `credential ${record.credential} was ended and is still taken: ${probe.detail}`,
    );
  return { probe, revokeMs: revoked - began, probeMs: performance.now() - revoked };
};

const proofOf = ({ state, detail, goodUntil }: Probe): LeaseProof => ({
  kind: state === 'refused' ? 'refused' : 'unprovable',
  detail: detail.slice(0, 256),
  ...(state === 'unprovable' && goodUntil !== undefined && { good_until: new Date(goodUntil).toISOString() }),
});

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

const aboutLease = ({ id, tenant, agent, session }: LeaseRecord) => ({ subject: id, tenant, agent, session });

export const revokedEvent = (
  record: LeaseRecord,
  { why, by, reason }: EndOrder,
  proof: LeaseProof,
): EventDraft<'lease.revoked'> => ({
  name: 'lease.revoked',
  ...aboutLease(record),
  data: {
    lease: record.id,
    credential: record.credential,
    call: record.call,
    why,
    ...defined({ by, reason }),
    proof,
  },
});

const irrevocableEvent = (record: LeaseRecord, tries: number, problem: string): EventDraft<'lease.irrevocable'> => ({
  name: 'lease.irrevocable',
  ...aboutLease(record),
  data: {
    lease: record.id,
    credential: record.credential,
    call: record.call,
    tries,
    problem,
    expires_at: new Date(expiryOf(record)).toISOString(),
  },
});

const defined = ({ by, reason }: { by: string | undefined; reason: string | undefined }) => ({
  ...(by !== undefined && { by }),
  ...(reason !== undefined && { reason }),
});

export const inGroups = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  const inTurn = pLimit(endAtOnce);
  await Promise.all(items.map((item) => inTurn(() => work(item))));
};
