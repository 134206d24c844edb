import { covers, type LeaseRecord, type Scope } from '@agentgate/contracts';
import { type Ending, type EndingPorts, inGroups } from './ending.ts';
import { type HeldLease, isOpen } from './lease.ts';

/** The leases of a scope, by what can be said of their end. */
export interface ContainedLeases {
  revoked: string[];
  unproven: string[];
  failed: string[];
}

/** Within what the kill-switch waits for a point. */
const containMs = 1_700;
const lookAgainMs = 10;

/** A lease that is being ended, and what can be said of that once it is known. */
export interface EndingLease {
  record: LeaseRecord;
  end: Promise<keyof ContainedLeases>;
}

/** Ends every lease that the order covers, also those that somebody else is ending. */
export const endCovered = (ports: EndingPorts, ending: Ending, scope: Scope): EndingLease[] => {
  const until = performance.now() + containMs;
  const covered = ports.index
    .all()
    .filter(({ record }) => covers(scope, record))
    .map((held) => ({ held, told: Promise.withResolvers<keyof ContainedLeases>() }));
  void inGroups(covered, async ({ held, told }) => told.resolve(await endOne(ports, ending, held, until)));
  return covered.map(({ held: { record }, told }) => ({ record, end: told.promise }));
};

/**
 * Tells of each in time. Of a lease that is there twice the later word counts: what had failed may be ended by now. Whatever is not told of by then
 * is not ended yet; it goes on being ended.
 */
export const tellOf = async (leases: readonly EndingLease[]): Promise<ContainedLeases> => {
  const { promise: tooLate, resolve } = Promise.withResolvers<'failed'>();
  const timer = setTimeout(resolve, containMs, 'failed');
  const ends = new Map<string, keyof ContainedLeases>();
  for (const { record, end } of leases) ends.set(record.id, await Promise.race([end, tooLate]));
  clearTimeout(timer);
  const of = (end: keyof ContainedLeases) => [...ends].flatMap(([lease, is]) => (is === end ? [lease] : []));
  return { revoked: of('revoked'), unproven: of('unproven'), failed: of('failed') };
};

/** Never rejects: whatever goes wrong, the lease is not ended. */
const endOne = async (
  { records, log }: EndingPorts,
  ending: Ending,
  known: HeldLease,
  until: number,
): Promise<keyof ContainedLeases> => {
  let held: HeldLease | undefined = known;
  const notRecorded = (error: unknown) =>
    log.warn({ err: error, lease: known.record.id }, 'the end of a lease is not on record yet; it is ended again');
  try {
    while (performance.now() < until) {
      if (!held) return 'unproven';
      const { record } = held;
      if (!isOpen(record)) return record.proof === 'refused' ? 'revoked' : 'unproven';
      // One that could not be ended before is tried again at once: a kill does not wait for its turn.
      const isLeft = record.state === 'revoking' && record.ending?.problem !== undefined;
      const isWhole = record.state === 'intended' || record.state === 'active';
      // Its call was ended by the same order, so the runner gives the lease back at the same moment.
      if ((isWhole || isLeft) && !ending.underWay(record.permit))
        void ending.end(held, { why: 'killed' }).catch(notRecorded);
      // Proven is enough for a receipt: what is not on record then is `revoking`, and ended and told again by the sweep.
      const ended = await ending.underWay(record.permit);
      if (ended) {
        if ('proof' in ended) return ended.proof.kind === 'refused' ? 'revoked' : 'unproven';
        if ('problem' in ended) return 'failed';
      } else {
        if (record.state === 'irrevocable') return 'failed';
        // Somebody is ending it.
        await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
      }
      held = await records.read(record.permit);
    }
  } catch (error) {
    log.warn({ err: error, lease: known.record.id }, 'a killed lease could not be ended; it is tried again');
  }
  return 'failed';
};
