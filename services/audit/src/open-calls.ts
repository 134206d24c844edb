import { callId, eventType } from '@agentgate/contracts';
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

/**
 * Reports dispatched calls without an outcome, but never only because audit lags: a call counts as open at a moment
 * when everything that had been published by then was taken.
 */
export const createOrphanWatch = ({
  backlog,
  now,
  onCaughtUp,
}: {
  backlog: Backlog;
  now: () => number;
  onCaughtUp: (at: number) => void;
}): OrphanWatch => {
  let mark: { at: number; lastSeq: number } | undefined;
  return {
    tick: async () => {
      const at = now();
      const { firstSeq, lastSeq } = await backlog.state();
      if (mark && firstSeq <= mark.lastSeq) return;
      if (mark) onCaughtUp(mark.at);
      mark = { at, lastSeq };
    },
  };
};
