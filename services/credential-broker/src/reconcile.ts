import type { Ending, EndingPorts } from './ending.ts';
import { isOpen } from './lease.ts';
import type { Offer } from './provider.ts';
import { within } from './within.ts';

const listMs = 5_000;
/** A record is written before anything is made, so one this old that its provider does not know is not on its way there. */
const settledMs = 30_000;

/**
 * Compares what the records say is out with what each provider really has, both ways: what only the provider has is ended there and
 * told as `orphan`; what only the records have is recorded as `lost`.
 */
export const reconcile = async (ports: EndingPorts, ending: Ending): Promise<void> => {
  for (const [credential, offer] of ports.offers) {
    try {
      await reconcileOne(ports, ending, credential, offer);
    } catch (error) {
      ports.log.warn({ err: error, credential }, 'the leases of a credential could not be compared with its provider');
    }
  }
};

const reconcileOne = async (
  ports: EndingPorts,
  ending: Ending,
  credential: string,
  { provider }: Offer,
): Promise<void> => {
  if (!provider.list) return;
  const before = ports.now();
  const { permits, complete } = await within(listMs, provider.list(), `credential ${credential} was not listed`);
  for (const permit of permits) await endOrphan(ports, credential, permit);
  if (!complete) return;
  const there = new Set(permits);
  const lost = ports.index
    .all()
    .filter(
      ({ record }) =>
        record.credential === credential &&
        record.state === 'active' &&
        !there.has(record.permit) &&
        Date.parse(record.created_at) < before - settledMs,
    );
  if (lost.length === 0) return;
  ports.log.warn({ credential, leases: lost.length }, 'leases are gone at their provider before their time');
  await ending.endAll(lost, () => ({ why: 'lost' }));
};

/** The record is read where it is written, not in the index, which may be behind. */
const endOrphan = async (ports: EndingPorts, credential: string, permit: string): Promise<void> => {
  const held = await ports.records.read(permit);
  if (held && isOpen(held.record)) return;
  const offer = ports.offers.get(credential);
  if (!offer) return;
  const now = ports.now();
  const lease = held?.record.id ?? `orphan/${credential}/${permit}`;
  ports.log.warn({ credential, lease }, 'a provider has a lease that nobody holds: it is ended');
  const unknown = { tenant: '', agent: '', session: '', scope: undefined, handle: undefined };
  const at = { lease, permit, credential, ...unknown, issuedAt: now, expiresAt: now };
  await offer.provider.revoke(at);
  const probe = await offer.provider.probe(at);
  if (probe.state === 'alive') throw new Error(`an orphan of credential ${credential} is still taken`);
  await ports.evidence.record({
    name: 'lease.revoked',
    subject: lease,
    data: {
      lease,
      credential,
      why: 'orphan',
      proof: { kind: probe.state === 'refused' ? 'refused' : 'unprovable', detail: probe.detail.slice(0, 256) },
    },
  });
};
