import { callId, eventType, limits } from '@agentgate/contracts';
import type { EvidenceEvent } from '@agentgate/evidence';
import { z } from 'zod';
import type { OpenCall } from './log-store.ts';

// What a verified event of ingress says about a dispatched call. Its data is read leniently: an event that is not of its
// type's form is evidence all the same.

const decided = z.object({ call: callId, deadline: z.int().min(0) });
const completed = z.object({ call: callId });
const decidedType = eventType('call.decided');
const completedType = eventType('call.completed');

export type Opening = { kind: 'open'; call: OpenCall } | { kind: 'close'; call: string };

/** A decision with a deadline was dispatched, so an outcome must follow; an outcome ends the wait. */
export const openingOf = ({ id, type, data, tenant, agent, session }: EvidenceEvent): Opening | undefined => {
  if (type === decidedType) {
    const { success, data: read } = decided.safeParse(data);
    return success
      ? { kind: 'open', call: { call: read.call, deadline: read.deadline, decided: id, tenant, agent, session } }
      : undefined;
  }
  if (type !== completedType) return undefined;
  const { success, data: read } = completed.safeParse(data);
  return success ? { kind: 'close', call: read.call } : undefined;
};

/** The producers' stream: what was acknowledged has left it. */
export interface Backlog {
  /** The lowest sequence that was not taken, and the last one that was given. */
  state(): Promise<{ firstSeq: number; lastSeq: number }>;
}

export interface OrphanWatch {
  /** To be called each second. */
  tick(): Promise<void>;
}

/** By more than this in a moment no clock is only corrected: somebody set it, or the machine slept. */
const setByMs = 1_000;

/**
 * Reports dispatched calls without an outcome, but never only because audit lags: a call counts as open at a moment
 * when everything that had been published by then was taken. Nor because the clock was set: a deadline that was told by the clock of before
 * says nothing by the one of now, so none is judged until every call of before has ended. An orphan is told then, or once its own deadline has passed by the clock of now.
 */
export const createOrphanWatch = ({
  backlog,
  now,
  monotonic,
  onCaughtUp,
}: {
  backlog: Backlog;
  now: () => number;
  /** Milliseconds by a clock that nobody sets. */
  monotonic: () => number;
  onCaughtUp: (at: number) => void;
}): OrphanWatch => {
  let mark: { at: number; lastSeq: number } | undefined;
  /** What lies between the two clocks: it changes only where the first is set. */
  let offset = now() - monotonic();
  let judgesFrom = Number.NEGATIVE_INFINITY;
  return {
    tick: async () => {
      const at = now();
      const since = monotonic();
      if (Math.abs(at - since - offset) > setByMs) {
        judgesFrom = since + limits.callTimeoutMaxMs;
        mark = undefined;
      }
      offset = at - since;
      const { firstSeq, lastSeq } = await backlog.state();
      if (mark && firstSeq <= mark.lastSeq) return;
      if (mark && since >= judgesFrom) onCaughtUp(mark.at);
      mark = { at, lastSeq };
    },
  };
};
