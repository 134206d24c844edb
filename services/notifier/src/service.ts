import {
  AgentGateError,
  type AlertRecord,
  type AlertSettings,
  type AlertsAnswer,
  alertIdOf,
  matchesEvent,
  type OpenAlert,
  type TestAlertAnswer,
} from '@agentgate/contracts';
import type { AlertIndex } from './alert-index.ts';
import type { Courier } from './courier.ts';
import type { Alert } from './payload.ts';
import type { Counts, Held, Log, Records, Send } from './ports.ts';

export interface NotifierOptions {
  endpoints: AlertSettings['endpoints'];
  records: Records;
  index: AlertIndex;
  courier: Pick<Courier, 'wake'>;
  send: Send;
  newEventId: () => string;
  now: () => number;
  counts: Pick<Counts, 'dropped'>;
  log: Log;
  /** For one endpoint; beyond it alerts are dead at once, and beyond as many dead ones there are none. */
  maxWaiting?: number;
}

export interface Notifier {
  /** Resolves once there is a record for each endpoint that wants it; taking the same event again changes nothing. */
  take(alert: Alert): Promise<void>;
  list(state: 'waiting' | 'dead'): AlertsAnswer;
  /** How many of the dead, by an alert's id or an endpoint's name, are tried again for a day. */
  retry(alert: string): Promise<number>;
  test(by: string, endpoint: string): Promise<TestAlertAnswer>;
}

const maxListed = 200;
const retriedAtATime = 64;
/** A message every so many, or a flood of alerts would be a flood of logs. */
const toldEvery = 1_000;

export const createNotifier = (opts: NotifierOptions): Notifier => {
  const { records, index, courier, now, log, maxWaiting = 10_000 } = opts;
  const endpoints = new Map(Object.entries(opts.endpoints));
  const iso = () => new Date(now()).toISOString();
  let overflowing = 0;

  /** Undefined where there is no room for it even among the dead. */
  const recordFor = (endpoint: string, { event, type, body }: Alert): AlertRecord | undefined => {
    const at = iso();
    const fresh = {
      v: 1 as const,
      id: alertIdOf(endpoint, event),
      endpoint,
      event,
      type,
      body,
      since: at,
      tries: 0,
      next_at: at,
    };
    if (index.count('waiting', endpoint) < maxWaiting) return { ...fresh, state: 'waiting' };
    if (overflowing++ % toldEvery === 0)
      log.error({ endpoint, waiting: maxWaiting }, 'too many alerts wait for an endpoint: the newest are given up');
    if (index.count('dead', endpoint) >= maxWaiting) return undefined;
    return { ...fresh, state: 'dead', ended_at: at, problem: `${maxWaiting} alerts waited for this endpoint already` };
  };
  const file = async (endpoint: string, alert: Alert) => {
    if (index.get(alertIdOf(endpoint, alert.event))) return;
    const record = recordFor(endpoint, alert);
    if (!record) return opts.counts.dropped(endpoint);
    const revision = await records.create(record);
    if (revision !== 'conflict') index.put({ record, revision });
  };
  const revive = async ({ record, revision }: Held): Promise<number> => {
    const { ended_at: _, problem: __, ...rest } = record;
    const again: AlertRecord = { ...rest, state: 'waiting', since: iso(), tries: 0, next_at: iso() };
    const written = await records.update(again, revision);
    if (written === 'conflict') return 0;
    index.put({ record: again, revision: written });
    return 1;
  };

  return {
    take: async (alert) => {
      const wanting = [...endpoints].filter(([, { events }]) =>
        events.some((pattern) => matchesEvent(pattern, alert.name)),
      );
      // One after the other: the bucket fsyncs each record, and with many endpoints the last of a burst would be too late.
      for (const [endpoint] of wanting) await file(endpoint, alert);
      if (wanting.length > 0) courier.wake();
    },
    list: (state) => {
      const found = index.listed(state).map(shown);
      const more = found.length - maxListed;
      return {
        v: 1,
        endpoints: [...endpoints].map(([endpoint, { url, events }]) => {
          const oldest = index.oldest(endpoint);
          return {
            endpoint,
            origin: new URL(url).origin,
            events,
            waiting: index.count('waiting', endpoint),
            dead: index.count('dead', endpoint),
            ...(oldest !== undefined && { oldest }),
          };
        }),
        alerts: found.slice(0, maxListed),
        ...(more > 0 && { more }),
      };
    },
    retry: async (alert) => {
      const one = index.get(alert);
      const chosen = alert.includes('/') ? (one?.record.state === 'dead' ? [one] : []) : index.listed('dead', alert);
      let retried = 0;
      for (let at = 0; at < chosen.length; at += retriedAtATime) {
        const written = await Promise.all(chosen.slice(at, at + retriedAtATime).map(revive));
        retried += written.filter((n) => n === 1).length;
      }
      courier.wake();
      return retried;
    },
    test: async (by, endpoint) => {
      if (!endpoints.has(endpoint))
        throw new AgentGateError('FIELD_INVALID', `/endpoint: agentgate.yaml names no endpoint ${endpoint}`);
      const event = opts.newEventId();
      const id = alertIdOf(endpoint, event);
      const began = now();
      const data = { event, summary: `a test of endpoint ${endpoint} by ${by}; nothing happened`, by };
      const body = JSON.stringify({ type: 'agentgate.alert.test.v1', timestamp: iso(), data });
      const outcome = await opts.send(endpoint, { id, body }, new AbortController().signal);
      const told = { v: 1 as const, ok: outcome.ok, id, ms: now() - began };
      return outcome.ok ? told : { ...told, problem: outcome.problem };
    },
  };
};

const shown = ({ record }: Held): OpenAlert => {
  const { id, endpoint, event, type, state, since, tries, next_at, problem } = record;
  return { id, endpoint, event, type, state, since, tries, next_at, ...(problem !== undefined && { problem }) };
};
