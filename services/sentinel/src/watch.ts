import { type AutomaticScope, type RiskSignal, scopeKey } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import { emptyGauge, gauged } from './breaker.ts';
import type { Doer, Happening } from './happening.ts';
import { createRecent, type Recent } from './recent.ts';
import type { Rules } from './rules.ts';
import { emptyScore, emptyTally, type Score, scored, type Tally, tallied } from './tally.ts';
import type { Trigger, WatchState } from './watch-state.ts';

// What the rules count, by one verified event after the other. Nothing here looks at a clock or draws by chance: whoever takes the same events
// in the same order finds the same triggers, so every replica counts for itself and none counts twice.

export interface Watch {
  /** Events come in the log's order; one whose index is not above the last is one that was counted. */
  take(index: number, happening: Happening | undefined): void;
  index(): number;
  /** What is to be stopped, until `done`. */
  pending(): Trigger[];
  done(incident: string): void;
  state(): WatchState;
  tracked(): { agents: number; tools: number };
}

/** Each bound is far above what honest deployments need; beyond it the least recent is forgotten. */
const agentsMost = 2_048;
const sessionsMost = 64;
const gaugesMost = 1_024;
const pendingMost = 1_024;
/** A session lives no longer than a day, so nothing has to be remembered of a stopped one after that. */
const sessionGoneMs = 25 * 3_600_000;
/** Beyond this, the sessions that were stopped first are forgotten: one of them would be stopped once more. */
const stoppedMost = 16_384;
/**
 * No call that was under way when somebody was stopped ends later. Who does something after that is at large again, whatever became of the event
 * that should have said so: the kill-switch may have died between lifting and telling of it.
 */
const underWayMs = 10 * 60_000;

interface Party {
  tallies: Map<string, Tally>;
  scores: Map<string, Score>;
}
const emptyParty = (): Party => ({ tallies: new Map(), scores: new Map() });
interface Agent {
  self: Party;
  sessions: Recent<Party>;
  /** When sessions of it were stopped. */
  stopped: number[];
}
const emptyAgent = (): Agent => ({ self: emptyParty(), sessions: createRecent(sessionsMost, emptyParty), stopped: [] });

interface Cause {
  rule: string;
  kind: Trigger['kind'];
  why: string;
  events: readonly string[];
}

export const createWatch = (rules: Rules, from: WatchState): Watch => {
  let index = from.index;
  const agents = createRecent(agentsMost, emptyAgent, from.agents.map(agentFrom));
  const gauges = createRecent(gaugesMost, emptyGauge, structuredClone(from.gauges));
  /** Scopes that are stopped until somebody lifts them. */
  const stopped = new Map(from.stopped);
  let pending = [...from.pending];

  const holds = (key: string, at: number) => at - (stopped.get(key) ?? Number.NEGATIVE_INFINITY) <= underWayMs;
  const isStopped = ({ tenant, agent, session }: Doer, at: number) =>
    holds(`agent:${tenant}:${agent}`, at) || (session !== undefined && holds(`session:${session}`, at));
  const partiesOf = (by: Doer, per: 'session' | 'agent'): Party | undefined => {
    const agent = agents.of(keyOf(by));
    if (per === 'agent') return agent.self;
    return by.session === undefined ? undefined : agent.sessions.of(by.session);
  };

  /** They stand in the order in which they were stopped. */
  const forgetOldSessions = (now: number) => {
    for (const [key, at] of stopped) {
      if (!key.startsWith('session:')) continue;
      if (at >= now - sessionGoneMs && stopped.size < stoppedMost) break;
      stopped.delete(key);
    }
  };

  const stop = (
    at: number,
    id: string,
    scope: AutomaticScope,
    who: Partial<Doer> & { tenant: string },
    cause: Cause,
  ) => {
    const key = scopeKey(scope);
    if (holds(key, at) || pending.length >= pendingMost || pending.some(({ scope }) => scopeKey(scope) === key)) return;
    forgetOldSessions(at);
    stopped.delete(key);
    stopped.set(key, at);
    const { rule, kind, why, events } = cause;
    pending.push({
      id: `inc_${sha256Hex(`${rule}\n${key}\n${id}`).slice(0, 26)}`,
      rule,
      kind,
      scope,
      ...who,
      reason: `${why} (rule ${rule})`.slice(0, 400),
      events: [...new Set([...events, id])].slice(-32),
      at,
    });
  };
  /** Stops the session or the agent. What is in no session of the agent's own can only be the agent's. */
  const stopParty = ({ id, at }: Happening, by: Doer, contains: 'session' | 'agent', cause: Cause) => {
    const { tenant, agent, session } = by;
    if (isStopped(by, at)) return;
    const ofAgent = () => stop(at, id, { kind: 'agent', id: agent, tenant }, by, cause);
    if (contains === 'agent' || session === undefined) {
      ofAgent();
      return;
    }
    const own = agents.of(keyOf(by));
    own.stopped = [...own.stopped.filter((time) => time > at - rules.escalate.window_s * 1_000), at].slice(-16);
    if (own.stopped.length >= rules.escalate.sessions)
      return stop(at, id, { kind: 'agent', id: agent, tenant }, by, {
        ...cause,
        why: `${cause.why}; session number ${own.stopped.length} of it within ${rules.escalate.window_s} s`,
      });
    stop(at, id, { kind: 'session', id: session, tenant }, by, cause);
  };

  const addRisk = (h: Happening, by: Doer, signals: readonly RiskSignal[]) => {
    for (const rule of rules.risk) {
      const weight = signals.reduce((sum, signal) => sum + (rule.weights[signal] ?? 0), 0);
      const party = weight > 0 ? partiesOf(by, rule.per) : undefined;
      if (!party) continue;
      const score = getOr(party.scores, rule.id, emptyScore);
      const limits = { limit: rule.limit, halfLifeMs: rule.half_life_s * 1_000 };
      if (!scored(score, { ...h, weight }, limits)) continue;
      const why = `risk score ${score.value.toFixed(1)} of ${rule.limit}`;
      stopParty(h, by, rule.contains, { rule: rule.id, kind: 'risk', why, events: score.ids });
      party.scores.delete(rule.id);
    }
  };
  const countDenial = (h: Happening & { kind: 'decided' }) => {
    for (const rule of rules.denials) {
      if (!rule.codes.some((code) => code === h.refused)) continue;
      const party = partiesOf(h.by, rule.per);
      if (!party) continue;
      const tally = getOr(party.tallies, rule.id, emptyTally);
      if (!tallied(tally, h, rule.count, rule.window_s * 1_000)) continue;
      const why = `${rule.count} refused calls within ${rule.window_s} s`;
      stopParty(h, h.by, rule.contains, { rule: rule.id, kind: 'denials', why, events: tally.ids });
      party.tallies.delete(rule.id);
    }
  };
  const seeCanaries = (h: Happening & { kind: 'decided' | 'leased' }) => {
    for (const { id, contains, credentials, matches } of rules.canaries) {
      const bait = h.kind === 'decided' ? h.baits.find((name) => name.startsWith(`${id}/`)) : undefined;
      const why =
        h.kind === 'leased'
          ? credentials?.includes(h.credential) && `a lease of the canary credential ${h.credential} was asked for`
          : (matches(h.tool) && `the canary tool ${h.tool} was called`) ||
            (bait !== undefined && `the canary value ${bait} stood in a call's arguments`);
      if (why) stopParty(h, h.by, contains, { rule: id, kind: 'canary', why, events: [] });
    }
  };
  const seeBreakers = (h: Happening & { kind: 'completed' }) => {
    const { id, at, by, tool, failed } = h;
    for (const rule of rules.breakers) {
      if (!rule.matches(tool)) continue;
      const key = `${rule.id} ${by.tenant} ${tool}`;
      const gauge = gauges.of(key);
      const why = gauged(gauge, { id, at, agent: by.agent, failed }, rule);
      if (why === undefined) continue;
      const cause: Cause = { rule: rule.id, kind: 'breaker', why, events: gauge.ids };
      stop(at, id, { kind: 'tool', id: tool, tenant: by.tenant }, { tenant: by.tenant }, cause);
      gauges.forget(key);
    }
  };
  /** Somebody looked and let it go on: what was before counts no more. */
  const lifted = (key: string) => {
    stopped.delete(key);
    pending = pending.filter(({ scope }) => scopeKey(scope) !== key);
    for (const [name] of gauges.entries()) {
      const [, tenant, tool] = name.split(' ');
      if (key === `tool:${tenant}:${tool}` || key === `tool:*:${tool}`) gauges.forget(name);
    }
    for (const [name, agent] of agents.entries()) {
      if (key === `agent:${name.replace('/', ':')}`) agents.forget(name);
      if (key.startsWith('session:')) agent.sessions.forget(key.slice('session:'.length));
    }
  };

  const seeAnomaly = (h: Happening & { kind: 'anomaly' }) => {
    for (const { id, kinds, contains } of rules.anomalies) {
      if (!kinds.some((kind) => kind === h.anomaly)) continue;
      const why = `evidence has an anomaly: ${h.anomaly}`;
      stopParty(h, h.by, contains, { rule: id, kind: 'anomaly', why, events: [] });
    }
  };

  const judge = (h: Happening): void => {
    switch (h.kind) {
      case 'lifted':
        lifted(h.scope);
        break;
      case 'decided':
        seeCanaries(h);
        if (h.refused === undefined || isStopped(h.by, h.at)) break;
        countDenial(h);
        addRisk(h, h.by, [h.refused]);
        break;
      case 'leased':
        seeCanaries(h);
        break;
      case 'completed':
        seeBreakers(h);
        addRisk(h, h.by, h.risk);
        break;
      case 'approval_rejected':
        addRisk(h, h.by, [h.kind]);
        break;
      case 'anomaly':
        seeAnomaly(h);
        break;
      default:
        h satisfies never;
    }
  };
  return {
    take: (at, happening) => {
      if (at <= index) return;
      index = at;
      if (!happening) return;
      judge(happening);
    },
    index: () => index,
    pending: () => [...pending],
    done: (incident) => {
      pending = pending.filter(({ id }) => id !== incident);
    },
    state: () => ({
      index,
      rules: rules.digest,
      agents: agents.entries().map(agentTo),
      gauges: gauges.entries(),
      stopped: [...stopped],
      pending,
    }),
    tracked: () => ({ agents: agents.size(), tools: gauges.size() }),
  };
};

const keyOf = ({ tenant, agent }: Doer) => `${tenant}/${agent}`;
const getOr = <T>(map: Map<string, T>, key: string, make: () => T): T => {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
};

type Kept = WatchState['agents'][number];
const partyTo = ({ tallies, scores }: Party) => ({ tallies: [...tallies], scores: [...scores] });
const partyFrom = ({ tallies, scores }: Kept[1]['self']): Party => ({
  tallies: new Map(structuredClone(tallies)),
  scores: new Map(structuredClone(scores)),
});
const agentTo = ([key, { self, sessions, stopped }]: [string, Agent]): Kept => [
  key,
  { self: partyTo(self), sessions: sessions.entries().map(([id, party]) => [id, partyTo(party)]), stopped },
];
const agentFrom = ([key, { self, sessions, stopped }]: Kept): [string, Agent] => [
  key,
  {
    self: partyFrom(self),
    sessions: createRecent(
      sessionsMost,
      emptyParty,
      sessions.map(([id, party]): [string, Party] => [id, partyFrom(party)]),
    ),
    stopped,
  },
];
