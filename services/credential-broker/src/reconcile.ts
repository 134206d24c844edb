import type { Ending, EndingPorts } from './ending.ts';
import { isOpen } from './lease.ts';
import type { Offer } from './provider.ts';
import { within } from './within.ts';

const listMs = 5_000;
const endMs = 5_000;
const nothing = Promise.resolve({ permits: [], complete: false });
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
  const list = () => within(listMs, provider.list?.() ?? nothing, `credential ${credential} was not listed`);
  const { permits, complete } = await list();
  await endOrphans(ports, credential, permits, list);
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

/** The records are read where they are written, not in the index, which may be behind. */
const heldByNobody = async ({ records }: EndingPorts, permits: readonly string[]): Promise<string[]> => {
  const found: string[] = [];
  for (const permit of permits) {
    const held = await records.read(permit);
    if (!held || !isOpen(held.record)) found.push(permit);
  }
  return found;
};

const endOrphans = async (
  ports: EndingPorts,
  credential: string,
  permits: readonly string[],
  list: () => Promise<{ permits: string[] }>,
): Promise<void> => {
  const suspects = await heldByNobody(ports, permits);
  if (suspects.length === 0) return;
  // What ended between the list and its record's reading is no orphan: that one is there still.
  const still = new Set((await list()).permits);
  for (const permit of suspects.filter((each) => still.has(each))) {
    try {
      await endOrphan(ports, credential, permit);
    } catch (error) {
      // One that cannot be ended hinders neither the others nor the comparison; each round tries it again and says so.
      ports.log.error(
        { err: error, credential, permit },
        'ALARM: a provider has a lease that nobody holds, and it cannot be ended; end it there by hand',
      );
    }
  }
};

const endOrphan = async (ports: EndingPorts, credential: string, permit: string): Promise<void> => {
  const offer = ports.offers.get(credential);
  if (!offer) return;
  const held = await ports.records.read(permit);
  const now = ports.now();
  const lease = held?.record.id ?? `orphan/${credential}/${permit}`;
  ports.log.warn({ credential, lease }, 'a provider has a lease that nobody holds: it is ended');
  const unknown = { tenant: '', agent: '', session: '', scope: undefined, handle: undefined };
  const at = { lease, permit, credential, ...unknown, issuedAt: now, expiresAt: now };
  await within(endMs, offer.provider.revoke(at), `credential ${credential} was not ended`);
  const probe = await within(endMs, offer.provider.probe(at), `credential ${credential} could not be tried`);
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
