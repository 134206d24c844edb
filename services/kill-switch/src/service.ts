import type { Log } from '@agentgate/bus';
import {
  type ActiveKill,
  AgentGateError,
  type ContainmentPoint,
  type EventDraft,
  type EventName,
  type KillReceipt,
  type KillRecord,
  type killAsk,
  type killOrder,
  type killsAnswer,
  type liftAnswer,
  type liftAsk,
  type releaseAsk,
  type Scope,
  scopeKey,
} from '@agentgate/contracts';
import type { SigningKey } from '@agentgate/evidence';
import type { z } from 'zod';
import { type AskPoints, contain, type OnPoint, round } from './containment.ts';
import type { Freshness } from './freshness.ts';
import type { Order, Orders } from './orders.ts';
import type { Points } from './points.ts';
import type { Clock, Connections, OrderStream, Standing, View } from './ports.ts';
import { receiptParts, signReceipt } from './receipt.ts';
import type { ViewSync } from './view-sync.ts';

export interface KillSwitch {
  /** `onPoint` hears of each point as it confirms. */
  kill(by: string, ask: z.infer<typeof killAsk>, onPoint?: OnPoint): Promise<KillReceipt>;
  /** The same transaction for an order that no person gave. Where the scope is killed for good already, that order is contained anew. */
  order(by: string, ask: Omit<z.infer<(typeof killOrder)['ask']>, 'v'>): Promise<Told>;
  lift(by: string, ask: z.infer<typeof liftAsk>): Promise<z.infer<typeof liftAnswer>>;
  /** Lifts the order of an incident, and no other that took its place. */
  release(by: string, ask: z.infer<typeof releaseAsk>): Promise<z.infer<typeof liftAnswer>>;
  list(): z.infer<typeof killsAnswer>;
  /** Ends the orders whose time is over. */
  expire(): Promise<void>;
}

/** A receipt, and the events that tell of it as far as they are durable. */
export type Told = Omit<z.infer<(typeof killOrder)['answer']>, 'v'>;

export interface KillSwitchDeps {
  stream: Pick<OrderStream, 'write' | 'last'>;
  orders: Orders;
  view: Pick<View, 'put'>;
  sync: Pick<ViewSync, 'settled'>;
  freshness: Freshness;
  points: Points;
  /** Kinds of scopes whose kills two operators have to lift. */
  dualControl: ReadonlySet<Scope['kind']>;
  askPoints: AskPoints;
  /** Has every point start nothing in the scope while its order is being written. */
  hold(scope: Scope): void;
  connections: Connections;
  /** Resolves when the event is durable. */
  record<N extends EventName>(draft: EventDraft<N>, opts: { timeoutMs: number }): Promise<string>;
  key: Pick<SigningKey, 'sign'>;
  /** Hears of every receipt. */
  onReceipt?: (receipt: KillReceipt) => void;
  clock: Clock;
  log: Log;
}

/** Who lifts an order whose time is over. */
export const itself = 'agentgate';
const killAttempts = 5;
const evidenceMs = 1_000;
/** A killed agent hears of its calls before it is cut off: their outcomes are on their way to disk, and then to it. */
const lastAnswersMs = 25;
const expireAtOnce = 32;
/** So long a first operator's wish to lift waits for a second one's. */
const secondMs = 300_000;
/** Below what one message may hold, with room for the rest of the answer. */
const listBytesMax = 6 * 1024 * 1024;

export const createKillSwitch = (deps: KillSwitchDeps): KillSwitch => {
  const { stream, orders, freshness, clock, log } = deps;
  const timestamp = () => new Date(clock.now()).toISOString();

  /**
   * Writes the kill. It must not shorten a kill of the same scope that stands already, so it is written against the order that it knows; and it must
   * not be lost to a race, so the last attempt is written whatever stands there, and without an end. An order that nobody gave does not take the
   * place of a person's that lasts as long: else whoever releases its incident would lift that one.
   */
  const write = async (by: string, ask: Asked): Promise<Order> => {
    const { scope, reason, expires_in_ms, incident } = ask;
    const key = scopeKey(scope);
    const at = clock.now();
    const base: KillRecord = {
      v: 1,
      state: 'killed',
      scope,
      reason,
      by,
      at: new Date(at).toISOString(),
      ...(incident === undefined ? {} : { incident }),
    };
    const ends = expires_in_ms === undefined ? undefined : at + expires_in_ms;
    let stands: Standing | undefined = incident === undefined ? orders.get(key) : await stream.last(key);
    for (let attempt = 1; attempt < killAttempts; attempt++) {
      if (incident !== undefined && stands?.record?.state === 'killed' && stands.record.expires_at === undefined)
        return { key, epoch: stands.epoch, record: stands.record };
      if (incident !== undefined && stands?.record?.state === 'lifted' && stands.record.incident === incident)
        throw new AgentGateError('FIELD_INVALID', `/incident: its order was lifted by ${stands.record.by} already`);
      const record = endingAt(base, laterEnd(ends, stands));
      const epoch = await stream.write(record, stands?.epoch ?? 0);
      if (epoch !== 'conflict') return { key, epoch, record };
      stands = await stream.last(key);
    }
    const epoch = await stream.write(base);
    if (epoch === 'conflict') throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the KILL stream refused the order');
    return { key, epoch, record: base };
  };

  /** The order stands whether or not this succeeds; what could not be written in time is written later, as long as this process lives. */
  const evidence = async <N extends EventName>(
    name: N,
    scope: Scope,
    data: EventDraft<N>['data'],
  ): Promise<string | undefined> => {
    try {
      return await deps.record<N>({ name, ...about(scope), data }, { timeoutMs: evidenceMs });
    } catch (error) {
      log.error({ err: error, event: name, scope }, 'evidence of an order is not durable yet');
      return undefined;
    }
  };
  const show = async (o: Order): Promise<void> => {
    try {
      await deps.view.put(o);
    } catch (error) {
      log.warn({ err: error, epoch: o.epoch }, 'an order is not in the view yet; calls are refused until it is');
    }
  };

  /** The server is a point of its own where an agent is killed. Answers to what was in flight leave first. */
  const cutOff = async (scope: Scope, hadCalls: boolean, elapsed: () => number): Promise<ContainmentPoint[]> => {
    if (scope.kind !== 'agent') return [];
    if (hadCalls) await clock.sleep(lastAnswersMs);
    const server = { service: 'nats-server' as const, instance: 'nats' };
    try {
      await deps.connections.cut({ tenant: scope.tenant ?? 'default', agent: scope.id });
      return [{ ...server, confirmed_in_ms: round(elapsed()) }];
    } catch (error) {
      log.error({ err: error, scope }, "a killed agent's connections could not be cut");
      return [{ ...server, confirmed_in_ms: null }];
    }
  };

  /** The one containment transaction, whoever ordered it. */
  const transact = async (by: string, ask: Asked, onPoint?: OnPoint): Promise<Told> => {
    const began = clock.monotonic();
    const elapsed = () => clock.monotonic() - began;
    // A person's word counts at once. An incident's may be over already, and its order then is refused.
    if (ask.incident === undefined) deps.hold(ask.scope);
    const ordered = await write(by, ask).catch((error: unknown) => {
      // What was ended at the hold is in evidence, and this is why.
      if (ask.incident === undefined) {
        const { scope, reason } = ask;
        void evidence('kill.failed', scope, { scope, reason, by, why: (error as Error).message });
      }
      throw error;
    });
    const { epoch, record } = ordered;
    orders.apply(ordered);
    const { v: _v, state: _state, at, lift_asked: _asked, ...told } = record;
    // Somebody else's order is in evidence already.
    const isOwn = record.incident === ask.incident;
    const because = ask.events === undefined ? {} : { events: ask.events };
    const recorded = isOwn ? evidence('kill.ordered', record.scope, { epoch, ...told, ...because }) : undefined;
    const shown = show(ordered);
    const containment = await contain(
      { ask: deps.askPoints, points: deps.points, ...(onPoint && { onPoint }) },
      epoch,
      record.scope,
      elapsed,
    );
    const { calls, leases, voided } = containment;
    const cut = await cutOff(record.scope, calls.length > 0, elapsed);
    for (const point of cut) if (point.confirmed_in_ms !== null) onPoint?.(point);
    const contained = containment.contained && cut.every((point) => point.confirmed_in_ms !== null);
    const points = [...containment.points, ...cut];
    const receipt = signReceipt(
      {
        v: 1,
        epoch,
        scope: record.scope,
        ordered_at: at,
        contained,
        contained_in_ms: round(elapsed()),
        points,
        calls,
        leases,
        approvals: { voided },
      },
      deps.key,
    );
    const [, orderedId, ...parts] = await Promise.all([
      shown,
      recorded,
      ...receiptParts(receipt, deps.key).map((part) => evidence('kill.contained', record.scope, part)),
    ]);
    deps.onReceipt?.(receipt);
    const line = { epoch, scope: record.scope, by, contained, points: points.length, calls: calls.length };
    if (contained) log.info(line, 'killed');
    else
      log.error({ ...line, silent: silentOf(receipt), irrevocable: leases.irrevocable }, 'killed, and NOT contained');
    return {
      receipt,
      evidence: {
        ...(orderedId === undefined ? {} : { ordered: orderedId }),
        contained: parts.filter((id) => id !== undefined),
      },
    };
  };
  const kill: KillSwitch['kill'] = async (by, ask, onPoint) => (await transact(by, ask, onPoint)).receipt;

  /** With `incident`: only an order of that incident. */
  const lift = async (
    by: string,
    { scope, reason }: Pick<z.infer<typeof liftAsk>, 'scope' | 'reason'>,
    incident?: string,
  ): Promise<z.infer<typeof liftAnswer>> => {
    const key = scopeKey(scope);
    const stands = await stream.last(key);
    const standing = killedRecord(stands);
    if (!stands || !standing || (incident !== undefined && standing.incident !== incident))
      return { v: 1, status: 'not_killed', epoch: orders.epoch() };
    const isAlone = deps.dualControl.has(standing.scope.kind) && !isSecond(standing, by);
    const epoch = isAlone
      ? await askForSecond({ epoch: stands.epoch, record: standing }, by, reason)
      : await liftOrder({ epoch: stands.epoch, record: standing }, by, reason);
    if (epoch === 'conflict') {
      const now = killedRecord(await stream.last(key));
      if (!now) return { v: 1, status: 'not_killed', epoch: orders.epoch() };
      throw new AgentGateError(
        'KILL_SWITCH_UNAVAILABLE',
        `/scope: was killed anew by ${now.by} at the same moment; look at that order before you lift it`,
      );
    }
    if (isAlone) return { v: 1, status: 'pending_second', epoch };
    // Not longer than this: where the view cannot be written the lift stands, and calls are refused for the view's sake.
    await deps.sync.settled(epoch, 500);
    return { v: 1, status: 'lifted', epoch };
  };
  /** Whether another operator asked for the same a moment ago. */
  const isSecond = ({ lift_asked }: KillRecord, by: string): boolean =>
    lift_asked !== undefined && lift_asked.by !== by && clock.now() - Date.parse(lift_asked.at) <= secondMs;

  /** The order stands on, as its own successor: that somebody asked is as durable as the order, and known to all replicas. */
  const askForSecond = async (
    { epoch: stands, record }: Pick<Order, 'epoch' | 'record'>,
    by: string,
    reason: string,
  ): Promise<number | 'conflict'> => {
    const epoch = await stream.write({ ...record, lift_asked: { by, at: timestamp() } }, stands);
    if (epoch === 'conflict') return epoch;
    log.info({ epoch, scope: record.scope, by }, 'a second operator is needed to lift');
    await evidence('kill.lift_asked', record.scope, { epoch, scope: record.scope, reason, by });
    return epoch;
  };
  const liftOrder = async (
    stands: Pick<Order, 'epoch' | 'record'>,
    by: string,
    reason: string,
  ): Promise<number | 'conflict'> => {
    const { scope, incident } = stands.record;
    const ofIncident = incident === undefined ? {} : { incident };
    const lifted: KillRecord = { v: 1, state: 'lifted', scope, reason, by, at: timestamp(), ...ofIncident };
    const epoch = await stream.write(lifted, stands.epoch);
    if (epoch === 'conflict') return epoch;
    log.info({ epoch, scope, by }, 'lifted');
    await evidence('kill.lifted', scope, { epoch, scope, reason, by, ...ofIncident });
    return epoch;
  };

  return {
    kill,
    order: (by, ask) => transact(by, ask),
    lift: (by, ask) => lift(by, ask),
    release: async (by, { incident, reason }) => {
      const order = orders.all().find(({ record }) => record.state === 'killed' && record.incident === incident);
      if (!order) return { v: 1, status: 'not_killed', epoch: orders.epoch() };
      return lift(by, { scope: order.record.scope, reason }, incident);
    },
    list: () => {
      if (freshness.stale()) throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the kill orders are stale');
      const kills = orders.active().sort((a, b) => b.epoch - a.epoch);
      assertListable(kills);
      return { v: 1, epoch: orders.epoch(), kills };
    },
    expire: async () => {
      const over = orders.expired(clock.now());
      for (let i = 0; i < over.length; i += expireAtOnce) {
        // Another instance that was first is a conflict, and so is a kill that came meanwhile: both leave nothing to do.
        await Promise.all(over.slice(i, i + expireAtOnce).map((o) => liftOrder(o, itself, 'expired')));
      }
    },
  };
};

type Asked = Omit<z.infer<typeof killAsk>, 'v'> & { incident?: string; events?: string[] };
const silentOf = ({ points }: KillReceipt): string[] =>
  points.flatMap(({ service, instance, confirmed_in_ms }) =>
    confirmed_in_ms === null ? [`${service}/${instance}`] : [],
  );

/** What kills the scope now. An order that cannot be read may be any; only a kill may take its place. */
const killedRecord = (stands: Standing | undefined): KillRecord | undefined => {
  if (stands && !stands.record)
    throw new AgentGateError(
      'KILL_SWITCH_UNAVAILABLE',
      '/scope: its last order cannot be read; kill it anew before you lift it',
    );
  return stands?.record?.state === 'killed' ? stands.record : undefined;
};
/** The end of a new kill: never before the end of the one that stands, and never where that one's is unknown. */
const laterEnd = (ends: number | undefined, stands: Standing | undefined): number | undefined => {
  if (ends === undefined || !stands || stands.record?.state === 'lifted') return ends;
  if (!stands.record) return undefined;
  return stands.record.expires_at === undefined ? undefined : Math.max(ends, Date.parse(stands.record.expires_at));
};
const endingAt = (record: KillRecord, ends: number | undefined): KillRecord =>
  ends === undefined ? record : { ...record, expires_at: new Date(ends).toISOString() };

/** What an event about this scope is about. */
const about = (scope: Scope): { subject: string; tenant?: string; agent?: string; session?: string } => {
  const subject = scopeKey(scope);
  switch (scope.kind) {
    case 'agent':
      return { subject, tenant: scope.tenant ?? 'default', agent: scope.id };
    case 'session':
      return { subject, session: scope.id, ...tenantOf(scope.tenant) };
    case 'tool':
      return { subject, ...tenantOf(scope.tenant) };
    case 'tenant':
      return { subject, tenant: scope.id };
    case 'global':
      return { subject };
    default:
      return scope satisfies never;
  }
};
const tenantOf = (tenant: string | undefined) => (tenant === undefined ? {} : { tenant });

const assertListable = (kills: readonly ActiveKill[]) => {
  let bytes = 0;
  for (const kill of kills) bytes += 256 + Buffer.byteLength(kill.reason);
  if (bytes > listBytesMax)
    throw new AgentGateError('OVERLOADED', `${kills.length} kills are active: too many for one answer`);
};
