import type { LeaseRecord } from '@agentgate/contracts';
import { type Ending, type EndingPorts, type EndOrder, write } from './ending.ts';
import { type HeldLease, isOpen } from './lease.ts';
import type { Minted } from './provider.ts';

/** How often a record that others write at the same time is read anew. */
const maxLooks = 8;

/**
 * Ends a lease that nobody was given. What is still being made could otherwise come to be after its end, so that is waited for; and where
 * somebody (a kill, an operator, another broker's sweep) called the lease ended meanwhile, that is true only once it is ended again.
 */
export const endAbandoned = async (
  ports: EndingPorts,
  ending: Ending,
  intended: HeldLease,
  order: EndOrder,
  minting?: Promise<Minted>,
): Promise<void> => {
  const late = await minting?.catch(() => undefined);
  const handle = late?.handle === undefined ? undefined : await ports.secrets.lock(late.handle, intended.record.id);
  let held: HeldLease | undefined = intended;
  for (let look = 0; look < maxLooks; look++) {
    const mayBeThere = minting !== undefined || (held && isOpen(held.record) && held.record.state !== 'revoking');
    if (!held || !mayBeThere) return;
    const known = handle === undefined && isOpen(held.record) ? held : await reopen(ports, held, handle);
    const { state } = known === 'conflict' ? { state: known } : await ending.end(known, order);
    if (state !== 'conflict') return;
    held = await ports.records.read(intended.record.permit);
  }
  ports.log.warn(
    { lease: intended.record.id },
    'a lease that was not given out is being changed again and again; the comparison with its provider ends what is left',
  );
};

/** Its end counts no more: with what the provider made meanwhile it is to be ended as any other, as often as it takes. */
const reopen = (
  ports: EndingPorts,
  { record, revision }: HeldLease,
  handle: string | undefined,
): Promise<HeldLease | 'conflict'> => {
  const { proof: _, ending: __, ...rest } = record;
  const open: LeaseRecord = isOpen(record) ? record : { ...rest, state: 'revoking' };
  return write(ports, { ...open, ...(handle !== undefined && { handle }) }, revision);
};
