import {
  AgentGateError,
  type brokerRelease,
  type CallIdentity,
  type EventDraft,
  killedError,
  type LeaseAnswer,
  type LeaseAsk,
  type LeaseRecord,
  type ListingLeaseAsk,
  type PermitClaims,
  type Scope,
} from '@agentgate/contracts';
import { createHeld } from '@agentgate/runtime';
import type { z } from 'zod';
import { endAbandoned } from './abandoning.ts';
import { orderOf } from './at-provider.ts';
import { type ContainedLeases, type EndingLease, endCovered, tellOf } from './containing.ts';
import { createEnding, type Ending, type EndingPorts, type EndOrder, write } from './ending.ts';
import { expiryOf, type HeldLease, intendedLease, type LeaseTerms } from './lease.ts';
import { mintedWithin, type Sealing, sealParts } from './minting.ts';
import type { ListingCheck, PermitCheck } from './permit.ts';
import { grantedScope, type LeaseOrder, type Minted, type Offer } from './provider.ts';
import { reconcile } from './reconcile.ts';
import { prolong } from './renewal.ts';
import type { RunnerKeyCheck } from './runner-key.ts';
import type { Subjects } from './subjects.ts';

type ReleaseAsk = z.infer<typeof brokerRelease.ask>;
type ReleaseAnswer = z.infer<typeof brokerRelease.answer>;

/** The broker's own view of the kill orders. */
export interface Kills {
  check(call: CallIdentity): { killed?: { scope: Scope; reason: string } };
  reached(epoch: number, waitMs: number): true | Promise<boolean>;
  epoch(): number;
  /** Takes an order from the kill-switch's own mouth before the stream brings it. */
  apply(scope: Scope, epoch: number): void;
}

export interface BrokerPorts extends EndingPorts {
  permit: PermitCheck;
  listing: ListingCheck;
  runnerKey: RunnerKeyCheck;
  kills: Kills;
  subjects: Pick<Subjects, 'personOf'>;
  sealing: Sealing;
  limits?: Partial<BrokerLimits>;
}

export interface BrokerLimits {
  /** Leases of one agent that may be out at once. */
  openPerAgent: number;
  /** How long the view may take to reach the epoch that ingress decided at. */
  killWaitMs: number;
  mintMs: number;
}
export const brokerLimits: BrokerLimits = { openPerAgent: 256, killWaitMs: 100, mintMs: 1_000 };

/** A lease that was made and is out: for `credentials test`, which asks without a runner. */
export interface Issued {
  held: HeldLease;
  minted: Minted;
}

interface IssuedTo {
  runner: string;
  /** Of what policy signed, where it was not these claims: then the lease serves nothing but this once. */
  digest?: string | undefined;
}

export interface Broker extends Pick<Ending, 'sweep' | 'endAll'> {
  lease(ask: LeaseAsk): Promise<LeaseAnswer>;
  /** For the runner's own reading of a server's list of tools: as for a call, under a listing permit. */
  leaseListing(ask: ListingLeaseAsk): Promise<LeaseAnswer>;
  release(ask: ReleaseAsk): Promise<ReleaseAnswer>;
  /** Makes a lease for these claims, whoever signed them: the caller has checked that. */
  issue(claims: PermitClaims, by: IssuedTo): Promise<Issued>;
  /** Ends the leases in the scope before its order is there; `contain` tells of them. */
  hold(scope: Scope): void;
  /** Refuses what the order covers from now on, and ends the leases in its scope. */
  contain(epoch: number, scope: Scope): Promise<ContainedLeases>;
  /** Ends every lease that a kill order covers. */
  revokeKilled(): Promise<void>;
  /** Compares the records with what the providers have. */
  reconcile(): Promise<void>;
  /** Waits for what goes on behind an answer that was given already. */
  settled(): Promise<void>;
}

export const createBroker = (ports: BrokerPorts): Broker => {
  const { kills, log, now } = ports;
  const limits = { ...brokerLimits, ...ports.limits };
  const ending = createEnding(ports);
  const held = createHeld<EndingLease>(() => performance.now());
  const behind = new Set<Promise<void>>();

  /** Ends a lease that nobody was given. The asker does not wait for it: if it fails, the sweep does it again. */
  const abandon: Abandon = (intended, order, minting) => {
    const work: Promise<void> = endAbandoned(ports, ending, intended, order, minting)
      .catch((error: unknown) =>
        log.warn(
          { err: error, lease: intended.record.id },
          'a lease that was not given out could not be ended; the sweep tries again',
        ),
      )
      .finally(() => behind.delete(work));
    behind.add(work);
  };

  const issue: Broker['issue'] = async (claims, by) => {
    const { offer, terms, person } = await termsOf(ports, claims, by.digest === undefined ? undefined : 'call');
    refuseCaps(ports, claims, terms.credential, offer, limits);
    const intended = await intend(ports, intendedLease(by, claims, terms, now()));
    const minting = (async () => offer.provider.mint(orderOf(intended.record, person, now())))();
    let minted: Minted;
    let held: HeldLease;
    try {
      minted = await mintedWithin(minting, terms.credential, limits.mintMs);
      held = await activate(ports, intended, minted);
    } catch (error) {
      abandon(intended, { why: isKilled(error) ? 'killed' : 'swept' }, minting);
      throw error;
    }
    return { held, minted };
  };

  /** That a runner asks, and that no order covers what it asks for. */
  const admit = async (ask: LeaseAsk | ListingLeaseAsk, claims: PermitClaims): Promise<void> => {
    ports.runnerKey(ask);
    if (!(await kills.reached(ask.epoch, limits.killWaitMs)))
      throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', `the kill view has not reached epoch ${ask.epoch}`);
    refuseKilled(kills, claims);
  };
  const answerTo = (
    ask: Pick<LeaseAsk, 'seal_to'>,
    { record }: HeldLease,
    minted: Minted | undefined,
  ): LeaseAnswer => ({
    lease: record.id,
    permit: record.permit,
    ...(minted && { sealed: sealParts(ports.sealing, minted, ask.seal_to) }),
    broker_key: ports.sealing.publicKey,
    expires_at: record.expires_at,
    ...(record.reuse === 'session' && { reuse: true as const }),
  });
  const issueTo = async (ask: LeaseAsk | ListingLeaseAsk, claims: PermitClaims, digest?: string) => {
    const { held, minted } = await issue(claims, { runner: ask.runner, digest });
    try {
      return answerTo(ask, held, minted);
    } catch (error) {
      abandon(held, { why: 'swept' });
      throw error;
    }
  };

  const lease: Broker['lease'] = async (ask) => {
    const claims = ports.permit(ask.permit);
    await admit(ask, claims);
    const prolonged = ask.held && (await prolong(ports, ask, claims, (c) => termsOf(ports, c)));
    if (!prolonged) return issueTo(ask, claims);
    refuseKilled(kills, claims);
    return answerTo(ask, prolonged.held, prolonged.minted);
  };
  const leaseListing: Broker['leaseListing'] = async (ask) => {
    const { claims, digest } = ports.listing(ask.permit);
    await admit(ask, claims);
    return issueTo(ask, claims, digest);
  };

  return {
    lease,
    leaseListing,
    issue,
    release: (ask) => release(ports, ending, ask),
    sweep: ending.sweep,
    endAll: ending.endAll,
    hold: (scope) => {
      for (const one of endCovered(ports, ending, scope)) held.put(one.record.permit, one.record, one);
    },
    contain: async (epoch, scope) => {
      kills.apply(scope, epoch);
      // The order ends again what the hold could not.
      return tellOf([...held.coveredBy(scope), ...endCovered(ports, ending, scope)]);
    },
    revokeKilled: () => ending.revokeKilled((record) => kills.check(record).killed?.scope),
    reconcile: () => reconcile(ports, ending),
    settled: async () => {
      await Promise.all(behind);
    },
  };
};

type Abandon = (held: HeldLease, order: EndOrder, minting?: Promise<Minted>) => void;

const isKilled = (error: unknown) => error instanceof AgentGateError && error.code.startsWith('KILLED_');

export interface Terms {
  offer: Offer;
  terms: LeaseTerms;
  person: LeaseOrder['person'];
}

/**
 * What the permit obliges the gate to give, and until when: the earliest of what policy and the provider allow, of the call's deadline
 * (unless the lease is to outlive the call), and of the token of the person that it is made for.
 */
const termsOf = async (
  { offers, subjects, now }: BrokerPorts,
  claims: PermitClaims,
  only?: LeaseTerms['reuse'],
): Promise<Terms> => {
  const { credential } = claims.obligations;
  if (!credential) throw new AgentGateError('POLICY_DENIED', 'permit: names no credential');
  const offer = offers.get(credential.name);
  if (!offer) throw new AgentGateError('CREDENTIAL_UNAVAILABLE', `no credential is named ${credential.name}`);
  const subject = offer.needsPerson ? await subjects.personOf(credential.name, claims) : undefined;
  const reuse = only ?? offer.reuse;
  const policyMs = credential.ttl_s === undefined ? Number.POSITIVE_INFINITY : credential.ttl_s * 1000;
  const expiresAt = Math.min(
    now() + Math.min(offer.maxTtlMs, policyMs),
    reuse === 'session' ? Number.POSITIVE_INFINITY : claims.deadline,
    subject?.expiresAt ?? Number.POSITIVE_INFINITY,
  );
  return {
    offer,
    person: subject?.person,
    terms: {
      credential: credential.name,
      provider: offer.provider.kind,
      scope: grantedScope(credential.name, credential.scope, offer),
      reuse,
      expiresAt,
    },
  };
};

const refuseKilled = (kills: Kills, call: CallIdentity) => {
  const { killed } = kills.check({ tenant: call.tenant, agent: call.agent, session: call.session, tool: call.tool });
  if (killed) throw killedError(killed);
};

const refuseCaps = (
  { index, now }: BrokerPorts,
  claims: PermitClaims,
  credential: string,
  offer: Offer,
  { openPerAgent }: BrokerLimits,
): void => {
  if (index.countOf(claims, now()) >= openPerAgent)
    throw new AgentGateError('RATE_LIMITED', `the agent holds ${openPerAgent} leases already`);
  if (index.countOf({ credential }, now()) >= offer.maxLeases)
    throw new AgentGateError('RATE_LIMITED', `${offer.maxLeases} leases of credential ${credential} are out already`);
};

/** Written before anything is minted: a crash leaves something to clean up. That the key is created once makes the permit single-use. */
const intend = async ({ records, index }: BrokerPorts, record: LeaseRecord): Promise<HeldLease> => {
  // Listed before it is written, so that calls that arrive together count against the caps.
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
const activate = async (ports: BrokerPorts, intended: HeldLease, minted: Minted): Promise<HeldLease> => {
  const { record } = intended;
  const { handle, expiresAt = Number.POSITIVE_INFINITY } = minted;
  const active: LeaseRecord = {
    ...record,
    state: 'active',
    expires_at: new Date(Math.min(expiryOf(record), expiresAt)).toISOString(),
    ...(handle !== undefined && { handle: await ports.secrets.lock(handle, record.id) }),
  };
  const [written, recorded] = await Promise.allSettled([
    write(ports, active, intended.revision),
    ports.evidence.record(issuedEvent(active)),
  ]);
  if (written.status === 'rejected') throw written.reason;
  if (written.value === 'conflict')
    throw new AgentGateError('BROKER_UNAVAILABLE', 'the lease was ended while it was being issued');
  if (recorded.status === 'rejected') throw recorded.reason;
  refuseKilled(ports.kills, record);
  return written.value;
};

const issuedEvent = (record: LeaseRecord): EventDraft<'lease.issued'> => ({
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
    ...(record.subject === undefined ? {} : { person: record.subject.person }),
    expires_at: record.expires_at,
  },
});

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
    if (state !== 'intended' && state !== 'active') continue;
    const ended = await ending.end(held, { why: now() >= expiryOf(held.record) ? 'expired' : 'released' });
    if (ended.state === 'revoked' || ended.state === 'expired') return { state: ended.state };
    if (ended.state !== 'conflict') return { state: 'unknown' };
  }
  return { state: 'unknown' };
};
