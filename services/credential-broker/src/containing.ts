import { AgentGateError, covers, type Scope } from '@agentgate/contracts';
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

/** What was told later counts: a lease that had failed then may be ended by now. */
export const mergeContained = (told: readonly ContainedLeases[]): ContainedLeases => {
  const ends = new Map<string, keyof ContainedLeases>();
  for (const one of told)
    for (const end of ['revoked', 'unproven', 'failed'] as const) for (const lease of one[end]) ends.set(lease, end);
  const of = (end: keyof ContainedLeases) => [...ends].flatMap(([lease, is]) => (is === end ? [lease] : []));
  return { revoked: of('revoked'), unproven: of('unproven'), failed: of('failed') };
};

/** Ends every lease that the order covers, and tells of each, also of those that somebody else ended meanwhile. */
export const containLeases = async (ports: EndingPorts, ending: Ending, scope: Scope): Promise<ContainedLeases> => {
  const until = performance.now() + containMs;
  const told: ContainedLeases = { revoked: [], unproven: [], failed: [] };
  const covered = ports.index.all().filter(({ record }) => covers(scope, record));
  // Whatever is not told of by then is not ended yet; it goes on being ended.
  const open = new Set(covered.map(({ record }) => record.id));
  const work = inGroups(covered, async (held) => {
    const end = await endOne(ports, ending, held, until);
    if (!open.delete(held.record.id)) return;
    told[end].push(held.record.id);
  });
  await Promise.race([work, new Promise((resolve) => setTimeout(resolve, containMs))]);
  const late = [...open];
  open.clear();
  return { ...told, failed: [...told.failed, ...late] };
};

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
    if (!(error instanceof AgentGateError)) throw error;
  }
  return 'failed';
};
