import { automaticScope, incidentId, incidentKind, ledBy, name, sessionId } from '@agentgate/contracts';
import { z } from 'zod';

// What a watch has counted, as it stands in bucket SENTINEL.

const time = z.number();
const ids = z.array(z.string());
const tally = z.object({ times: z.array(time), ids });
const score = z.object({ value: z.number(), at: time, ids });
const party = z.object({
  tallies: z.array(z.tuple([z.string(), tally])),
  scores: z.array(z.tuple([z.string(), score])),
});
const agent = z.object({ self: party, sessions: z.array(z.tuple([z.string(), party])), stopped: z.array(time) });
const gauge = z.object({
  slots: z.array(z.object({ n: z.int(), agents: z.array(z.tuple([z.string(), z.int(), z.int()])) })),
  ids,
});
/** A rule is met: this is to be stopped, and why. */
const trigger = z.object({
  /** The incident's id. It follows from the rule, the scope and the last event, so that whoever counts the same events finds the same. */
  id: incidentId,
  rule: name,
  kind: incidentKind,
  scope: automaticScope,
  tenant: name,
  agent: name.optional(),
  session: sessionId.optional(),
  reason: z.string(),
  events: ledBy,
  /** Of the last event; milliseconds since the epoch. */
  at: time,
});
export type Trigger = z.infer<typeof trigger>;
export const watchState = z.object({
  /** Of the last event in the log that was counted. */
  index: z.int().min(-1),
  rules: z.string(),
  agents: z.array(z.tuple([z.string(), agent])),
  gauges: z.array(z.tuple([z.string(), gauge])),
  stopped: z.array(z.tuple([z.string(), time])),
  pending: z.array(trigger),
});
export type WatchState = z.infer<typeof watchState>;

export const emptyState = (index = -1): WatchState => ({
  index,
  rules: '',
  agents: [],
  gauges: [],
  stopped: [],
  pending: [],
});

/** Counts for rules that have changed say nothing about those of today. What is stopped stays so. */
export const forRules = (state: WatchState, rules: string): WatchState =>
  state.rules === rules ? state : { ...state, rules, agents: [], gauges: [] };
