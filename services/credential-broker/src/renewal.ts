import {
  AgentGateError,
  type EventDraft,
  type LeaseAsk,
  type LeaseRecord,
  type PermitClaims,
} from '@agentgate/contracts';
import { handleOf, orderOf } from './at-provider.ts';
import { write } from './ending.ts';
import { expiryOf, type HeldLease } from './lease.ts';
import type { Minted } from './provider.ts';
import type { BrokerPorts, Terms } from './service.ts';
import { within } from './within.ts';

const renewMs = 1_000;

interface Prolonged {
  held: HeldLease;
  /** Only where the secret changed. */
  minted: Minted | undefined;
}

/**
 * A lease that its session holds already serves one more call. That call's permit is policy's fresh word on it, and is used up here as it
 * would be by a lease of its own. While more than half of its time is left the lease stays as it is, or ends sooner where policy allows less
 * than before; else the provider is asked for more.
 * Undefined where a new lease has to be made: then the permit is not used up.
 */
export const prolong = async (
  ports: BrokerPorts,
  ask: LeaseAsk,
  claims: PermitClaims,
  termsOf: (claims: PermitClaims) => Promise<Terms>,
): Promise<Prolonged | undefined> => {
  const held = ask.held && ports.index.get(ask.held.permit);
  if (!ask.held || !held || held.record.id !== ask.held.lease || held.record.state !== 'active') return undefined;
  const { offer, terms, person } = await termsOf(claims);
  if (!isSame(held.record, claims, terms, ask.runner)) return undefined;
  const now = ports.now();
  const left = expiryOf(held.record) - now;
  const allowed = terms.expiresAt - now;
  const isDue = left < allowed / 2;
  if (left <= 0 || allowed <= 0 || (isDue && !offer.provider.renew)) return undefined;
  if ((await ports.records.use(claims.id, held.record.id)) === 'conflict')
    throw new AgentGateError('POLICY_DENIED', 'permit: was used for a lease already');
  if (!isDue && left <= allowed) return { held, minted: undefined };
  // Written first: the record may say longer than the provider does, but never shorter.
  const record: LeaseRecord = { ...held.record, expires_at: new Date(terms.expiresAt).toISOString() };
  const written = await write(ports, record, held.revision);
  if (written === 'conflict')
    throw new AgentGateError('BROKER_UNAVAILABLE', 'the lease was changed while it was renewed');
  // Policy allows less than it did: the record ends it in time, whatever the provider was told.
  if (!isDue || !offer.provider.renew) return { held: written, minted: undefined };
  const handle = await handleOf(record, ports.secrets);
  const minted = await within(
    renewMs,
    offer.provider.renew(orderOf(record, person, now), handle),
    `credential ${record.credential} was not renewed`,
  );
  await ports.evidence.record(renewedEvent(record, claims));
  return { held: written, minted };
};

const isSame = (record: LeaseRecord, claims: PermitClaims, terms: Terms['terms'], runner: string): boolean =>
  record.reuse === 'session' &&
  record.runner === runner &&
  record.tenant === claims.tenant &&
  record.agent === claims.agent &&
  record.session === claims.session &&
  record.tool === claims.tool &&
  record.subject?.id === claims.subject?.id &&
  record.credential === terms.credential &&
  record.provider === terms.provider &&
  record.scope === terms.scope;

const renewedEvent = (record: LeaseRecord, { call }: PermitClaims): EventDraft<'lease.renewed'> => ({
  name: 'lease.renewed',
  subject: record.id,
  tenant: record.tenant,
  agent: record.agent,
  session: record.session,
  data: { lease: record.id, credential: record.credential, call, expires_at: record.expires_at },
});
