import { type Bus, createCurveKey } from '@agentgate/bus';
import {
  AgentGateError,
  brokerLease,
  brokerLeaseListing,
  brokerRelease,
  type CallIdentity,
  covers,
  type LeaseAnswer,
  leasedSecret,
  listingTool,
  type Permit,
  policyPermitListing,
  runnerKeyText,
} from '@agentgate/contracts';
import type { SigningKey } from '@agentgate/evidence';
import { type Credential, credentialOf } from '../credential.ts';
import type { Broker } from '../service.ts';
import type { LeasedCredential } from '../upstream.ts';

export interface BrokerLeases extends Broker {
  /** A lease to read a server's list of tools with, as policy permits and no call's permit does. `release` ends it. */
  leaseListing(server: string): Promise<LeasedCredential>;
  /** Ends every lease that is held for a session, and waits for the releases that are under way. */
  close(): Promise<void>;
}

interface BrokerLeasesOptions {
  bus: Pick<Bus, 'ask' | 'batcher' | 'instance'>;
  key: SigningKey;
  /** Whether a credential's leases serve a session's calls to a tool, not one call. */
  isReused: (credential: string) => boolean;
  /** A lease is over, or its secret was changed. */
  onOver: (lease: string) => void;
  /** What this runner's own view of the kill orders has reached. */
  epoch: () => number;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

/** A lease that outlives its call. */
interface Held {
  lease: string;
  permit: string;
  of: CallIdentity;
  credential: Credential;
  expiresAt: number;
}

/** One whose time is nearly over is not asked to be prolonged: the answer could come too late. */
const nearlyOverMs = 500;
const maxHeld = 4_096;

/** Leases of the credential-broker. The secret comes sealed to a key that this process made at its start and keeps in memory. */
export const createBrokerLeases = ({
  bus,
  key,
  isReused,
  onOver,
  epoch: ownEpoch,
  now,
  log,
}: BrokerLeasesOptions): BrokerLeases => {
  const curve = createCurveKey();
  const ask = bus.batcher(brokerLease);
  const release = bus.batcher(brokerRelease);
  const releasing = new Set<Promise<void>>();
  const held = new Map<string, Held>();
  const timers = new Map<string, NodeJS.Timeout>();
  /** Of the leases that end with their call: the permit that each was made with. */
  const permits = new Map<string, string>();
  /** Of the leases that a list is read with now. */
  const listings = new Map<string, CallIdentity>();
  const inTurn = createTurns();

  const opened = ({ sealed, broker_key }: LeaseAnswer): Credential => {
    try {
      const box = Buffer.from(sealed ?? '', 'base64');
      const text = Buffer.from(curve.open(box, broker_key)).toString('utf8');
      return credentialOf(leasedSecret.parse(JSON.parse(text)));
    } catch {
      // Without its cause: it may quote what could be read of the secret.
      throw new AgentGateError('CREDENTIAL_UNAVAILABLE', 'the lease that the credential-broker gave cannot be opened');
    }
  };
  /** What the broker is told of whom it seals for, signed for this one permit. */
  const named = <P extends { claims: { id: string } }>(permit: P) => {
    const mine = { permit, runner: bus.instance, seal_to: curve.publicKey };
    return { ...mine, sig: Buffer.from(key.sign(Buffer.from(runnerKeyText(mine)))).toString('base64') };
  };
  const askFor = (permit: Permit, epoch: number, before: Held | undefined): Promise<LeaseAnswer> =>
    ask({ ...named(permit), epoch, ...(before && { held: { lease: before.lease, permit: before.permit } }) });
  const drop = (name: string) => {
    const gone = held.get(name);
    held.delete(name);
    clearTimeout(timers.get(name));
    timers.delete(name);
    if (gone) onOver(gone.lease);
  };
  const keep = (name: string, one: Held) => {
    const before = held.get(name);
    if (before && (before.lease !== one.lease || before.credential !== one.credential)) onOver(before.lease);
    held.set(name, one);
    clearTimeout(timers.get(name));
    timers.set(name, setTimeout(() => drop(name), Math.max(0, one.expiresAt - now())).unref());
  };
  const end = (lease: string, permit: string): void => {
    const work: Promise<void> = release({ lease, permit })
      .then(() => undefined)
      // It ends by itself at its expiry; the broker sweeps.
      .catch((error: unknown) => log.warn({ err: error, lease }, 'a lease could not be released'))
      .finally(() => releasing.delete(work));
    releasing.add(work);
  };

  /** One that ends with its call, or its list; twice is as good as once. */
  const endOne = (lease: string): void => {
    const permit = permits.get(lease);
    permits.delete(lease);
    listings.delete(lease);
    if (permit !== undefined) end(lease, permit);
  };

  const forCall = async (permit: Permit, epoch: number): Promise<LeasedCredential> => {
    const answer = await askFor(permit, epoch, undefined);
    permits.set(answer.lease, answer.permit);
    try {
      return { lease: answer.lease, credential: opened(answer), reuse: false };
    } catch (error) {
      endOne(answer.lease);
      throw error;
    }
  };
  const forSession = async (name: string, permit: Permit, epoch: number): Promise<LeasedCredential> => {
    const known = held.get(name);
    const before = known && known.expiresAt - now() > nearlyOverMs ? known : undefined;
    if (!before && held.size >= maxHeld)
      throw new AgentGateError('OVERLOADED', `${maxHeld} leases are held for sessions already`);
    try {
      const answer = await askFor(permit, epoch, before);
      const isSame = before !== undefined && answer.lease === before.lease && answer.sealed === undefined;
      const credential = isSame ? before.credential : opened(answer);
      const expiresAt = Date.parse(answer.expires_at);
      const { tenant, agent, session, tool } = permit.claims;
      const of = { tenant, agent, session, tool };
      keep(name, { lease: answer.lease, permit: answer.permit, of, credential, expiresAt });
      return { lease: answer.lease, credential, reuse: true };
    } catch (error) {
      // Whatever is wrong: what is held is not used either, and the next call starts anew.
      drop(name);
      throw error;
    }
  };

  const leaseListing: BrokerLeases['leaseListing'] = async (server) => {
    const { permit } = await bus.ask(policyPermitListing, { v: 1, server });
    const { lease: answer } = await bus.ask(brokerLeaseListing, { v: 1, ...named(permit), epoch: ownEpoch() });
    permits.set(answer.lease, answer.permit);
    const [tenant = '', agent = '', session = ''] = answer.lease.split('/');
    listings.set(answer.lease, { tenant, agent, session, tool: listingTool(server) });
    try {
      return { lease: answer.lease, credential: opened(answer), reuse: false };
    } catch (error) {
      endOne(answer.lease);
      throw error;
    }
  };

  return {
    leaseListing,
    lease: (permit, epoch) => {
      const credential = permit.claims.obligations.credential?.name ?? '';
      if (!isReused(credential)) return forCall(permit, epoch);
      const name = nameOf(permit);
      return inTurn(name, () => forSession(name, permit, epoch));
    },
    release: ({ lease, reuse }) => {
      if (!reuse) endOne(lease);
    },
    forget: (scope) => {
      for (const [name, { of }] of [...held]) if (covers(scope, of)) drop(name);
      for (const [lease, of] of [...listings]) if (covers(scope, of)) onOver(lease);
    },
    close: async () => {
      for (const [name, { lease, permit }] of [...held]) {
        drop(name);
        end(lease, permit);
      }
      await Promise.all(releasing);
    },
  };
};

/** A session's lease serves one tool, one credential and one scope. */
const nameOf = ({ claims: { tenant, agent, session, tool, obligations } }: Permit): string =>
  JSON.stringify([tenant, agent, session, tool, obligations.credential]);

/** Calls of one session to one tool ask one after the other: only so does the second find what the first was given. */
const createTurns = () => {
  const last = new Map<string, Promise<unknown>>();
  return <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const mine = (last.get(name) ?? Promise.resolve()).then(work, work);
    const over = mine
      .catch(() => {})
      .then(() => {
        if (last.get(name) === over) last.delete(name);
      });
    last.set(name, over);
    return mine;
  };
};
