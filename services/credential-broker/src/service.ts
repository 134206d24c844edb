import {
  AgentGateError,
  type brokerRelease,
  type CallIdentity,
  type EventDraft,
  killedError,
  type LeaseAnswer,
  type LeaseAsk,
  type PermitClaims,
  type Scope,
} from '@agentgate/contracts';
import type { z } from 'zod';
import {
  type BrokerLog,
  createEnding,
  type Ending,
  type Evidence,
  type LeaseRecords,
  type WhyEnded,
  write,
} from './ending.ts';
import { expiryOf, type HeldLease, intendedLease, isOpen, type LeaseTerms } from './lease.ts';
import type { LeaseIndex } from './lease-index.ts';
import { mint, orderOf, type Sealing, sealAndWipe } from './minting.ts';
import type { PermitCheck } from './permit.ts';
import { grantedScope, type Minted, type Offer } from './provider.ts';
import type { RunnerKeyCheck } from './runner-key.ts';

type ReleaseAsk = z.infer<typeof brokerRelease.ask>;
type ReleaseAnswer = z.infer<typeof brokerRelease.answer>;

/** The broker's own view of the kill orders. */
export interface Kills {
  check(call: CallIdentity): { killed?: { scope: Scope; reason: string } };
  reached(epoch: number, waitMs: number): Promise<boolean>;
  epoch(): number;
}

export interface BrokerPorts {
  permit: PermitCheck;
  runnerKey: RunnerKeyCheck;
  kills: Kills;
  /** The credentials of agentgate.yaml by name. */
  offers: ReadonlyMap<string, Offer>;
  records: LeaseRecords;
  index: LeaseIndex;
  sealing: Sealing;
  evidence: Evidence;
  log: BrokerLog;
  now: () => number;
  limits?: Partial<BrokerLimits>;
}

export interface BrokerLimits {
  /** Leases of one agent that may be out at once. */
  openPerAgent: number;
  /** How long the view may take to reach the epoch that ingress decided at. */
  killWaitMs: number;
  mintMs: number;
}
export const brokerLimits: BrokerLimits = { openPerAgent: 256, killWaitMs: 100, mintMs: 750 };

export interface Broker extends Pick<Ending, 'sweep'> {
  lease(ask: LeaseAsk): Promise<LeaseAnswer>;
  release(ask: ReleaseAsk): Promise<ReleaseAnswer>;
  /** Ends every lease that a kill order covers. */
  revokeKilled(): Promise<void>;
  /** Waits for what goes on behind an answer that was given already. */
  settled(): Promise<void>;
}

export const createBroker = (ports: BrokerPorts): Broker => {
  const { kills, index, now, log } = ports;
  const limits = { ...brokerLimits, ...ports.limits };
  const providers = new Map([...ports.offers.values()].map(({ provider }) => [provider.name, provider]));
  const ending = createEnding({ ...ports, providerOf: (name) => providers.get(name) });
  const behind = new Set<Promise<void>>();

  /** Ends a lease that nobody was given. The asker does not wait for it: if it fails, the sweep does it again. */
  const abandon = (held: HeldLease, why: WhyEnded) => {
    const work: Promise<void> = ending
      .end(held, why)
      .then((state) => (state === 'conflict' ? endAsWritten(ports, ending, held.record.permit, why) : undefined))
      .catch((error: unknown) =>
        log.warn(
          { err: error, lease: held.record.id },
          'a lease that was not given out could not be ended; the sweep tries again',
        ),
      )
      .finally(() => behind.delete(work));
    behind.add(work);
  };

  const lease = async (ask: LeaseAsk): Promise<LeaseAnswer> => {
    const claims = ports.permit(ask.permit);
    const { offer, terms } = termsOf(claims, ports.offers, now());
    ports.runnerKey(ask);
    if (!(await kills.reached(ask.epoch, limits.killWaitMs)))
      throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', `the kill view has not reached epoch ${ask.epoch}`);
    refuseKilled(kills, claims);
    if (index.countOf(claims.tenant, claims.agent, now()) >= limits.openPerAgent)
      throw new AgentGateError('RATE_LIMITED', `the agent holds ${limits.openPerAgent} leases already`);
    const intended = await intend(ports, intendedLease(ask, claims, terms, now()));
    let minted: Minted;
    let sealed: string;
    try {
      minted = await mint(offer, orderOf(intended, now()), limits.mintMs);
      sealed = sealAndWipe(ports.sealing, minted, ask.seal_to);
    } catch (error) {
      abandon(intended, 'swept');
      throw error;
    }
    await activate(ports, intended, minted, abandon);
    return {
      lease: intended.record.id,
      sealed,
      broker_key: ports.sealing.publicKey,
      expires_at: intended.record.expires_at,
    };
  };

  return {
    lease,
    release: (ask) => release(ports, ending, ask),
    sweep: ending.sweep,
    revokeKilled: () => ending.revokeKilled((record) => kills.check(record).killed?.scope),
    settled: async () => {
      await Promise.all(behind);
    },
  };
};

/** What the permit obliges the gate to give, and until when: the earliest of what policy, the provider and the call's deadline allow. */
const termsOf = (
  claims: PermitClaims,
  offers: BrokerPorts['offers'],
  now: number,
): { offer: Offer; terms: LeaseTerms } => {
  const { credential } = claims.obligations;
  if (!credential) throw new AgentGateError('POLICY_DENIED', 'permit: names no credential');
  const offer = offers.get(credential.name);
  if (!offer) throw new AgentGateError('CREDENTIAL_UNAVAILABLE', `no credential is named ${credential.name}`);
  const ttlMs = Math.min(
    offer.maxTtlMs,
    credential.ttl_s === undefined ? Number.POSITIVE_INFINITY : credential.ttl_s * 1000,
  );
  const expiresAt = Math.min(now + ttlMs, claims.deadline);
  return {
    offer,
    terms: {
      credential: credential.name,
      provider: offer.provider.name,
      scope: grantedScope(credential.name, credential.scope, offer),
      expiresAt,
    },
  };
};

const refuseKilled = (kills: Kills, call: CallIdentity) => {
  const { killed } = kills.check({ tenant: call.tenant, agent: call.agent, session: call.session, tool: call.tool });
  if (killed) throw killedError(killed);
};

/** Written before anything is minted: a crash leaves something to clean up. That the key is created once makes the permit single-use. */
const intend = async ({ records, index }: BrokerPorts, record: HeldLease['record']): Promise<HeldLease> => {
  // Listed before it is written, so that calls that arrive together count against the cap.
  index.put({ record, revision: 0 });
  let created: number | 'conflict';
  try {
    created = await records.create(record);
  } catch (error) {
    // It may have been written all the same: then the bucket tells the index, and the sweep ends it.
    index.drop(record.permit, 0);
    throw error;
  }
  if (created === 'conflict') {
    index.drop(record.permit, 0);
    throw new AgentGateError('POLICY_DENIED', 'permit: was used for a lease already');
  }
  const held = { record, revision: created };
  index.put(held);
  return held;
};

/** After this the lease is out: recorded as active, durable in evidence, and not killed meanwhile. */
const activate = async (
  ports: BrokerPorts,
  intended: HeldLease,
  { handle }: Minted,
  abandon: (held: HeldLease, why: WhyEnded) => void,
): Promise<void> => {
  const record = { ...intended.record, state: 'active' as const, ...(handle === undefined ? {} : { handle }) };
  const [written, recorded] = await Promise.allSettled([
    write(ports, record, intended.revision),
    ports.evidence.record(issuedEvent(record)),
  ]);
  const held = written.status === 'fulfilled' && written.value !== 'conflict' ? written.value : intended;
  try {
    if (written.status === 'rejected') throw written.reason;
    if (recorded.status === 'rejected') throw recorded.reason;
    refuseKilled(ports.kills, record);
    if (written.value === 'conflict')
      throw new AgentGateError('BROKER_UNAVAILABLE', 'the lease was ended while it was being issued');
  } catch (error) {
    abandon(held, error instanceof AgentGateError && error.code.startsWith('KILLED_') ? 'killed' : 'swept');
    throw error;
  }
};

const issuedEvent = (record: HeldLease['record']): EventDraft<'lease.issued'> => ({
  name: 'lease.issued',
  subject: record.id,
  tenant: record.tenant,
  agent: record.agent,
  session: record.session,
  data: {
    lease: record.id,
    credential: record.credential,
    provider: record.provider,
    call: record.call,
    ...(record.scope === undefined ? {} : { scope: record.scope }),
    expires_at: record.expires_at,
  },
});

/** Ends a lease in whatever state the bucket holds it, once. */
const endAsWritten = async ({ records }: BrokerPorts, ending: Ending, permit: string, why: WhyEnded): Promise<void> => {
  const held = await records.read(permit);
  if (held && isOpen(held.record) && held.record.state !== 'revoking') await ending.end(held, why);
};

const release = async (
  { records, index, now }: BrokerPorts,
  ending: Ending,
  ask: ReleaseAsk,
): Promise<ReleaseAnswer> => {
  // What the index says may be old: then the compare-and-set refuses, and the bucket is read.
  for (const read of [async () => index.get(ask.permit), () => records.read(ask.permit)]) {
    const held = await read();
    if (!held || held.record.id !== ask.lease) continue;
    const { state } = held.record;
    if (state === 'revoked' || state === 'expired') return { state };
    if (!isOpen(held.record) || state === 'revoking') continue;
    const ended = await ending.end(held, now() >= expiryOf(held.record) ? 'expired' : 'released');
    if (ended === 'revoked' || ended === 'expired') return { state: ended };
  }
  return { state: 'unknown' };
};
