import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  type CallIdentity,
  coveringKeys,
  killHold,
  killPulse,
  killRecord,
  killStream,
  limits,
  type Scope,
  scopeKey,
} from '@agentgate/contracts';

/** An enforcement point's own view of the KILL stream. It is asked right before anything starts. */
export interface KillView {
  /** The order that covers the call, widest scope first. Throws KILL_SWITCH_UNAVAILABLE while the view is stale, or older than the caller can take. */
  check(call: CallIdentity, maxAgeMs?: number): { epoch: number; killed?: { scope: Scope; reason: string } };
  /** Whether the view has reached the epoch, waiting at most so long for it where it has not. */
  reached(epoch: number, waitMs: number): true | Promise<boolean>;
  /** Takes an order from the kill-switch's own mouth before the stream brings it. */
  apply(scope: Scope, epoch: number): void;
  /** Hears of each scope whose order is on its way, once nothing in it starts here any more. */
  onHold(hear: (scope: Scope) => void): void;
  epoch(): number;
  /** Why it is stale, or undefined. */
  stale(): string | undefined;
  close(): Promise<void>;
}

interface Known {
  epoch: number;
  scope: Scope;
  reason: string;
  killed: boolean;
}

export interface KillState {
  take(seq: number, record: { state: 'killed' | 'lifted'; scope: Scope; reason: string }): void;
  /** `ageMs`: how long ago it was true, as far as clocks tell. */
  pulse(epoch: number, ageMs?: number): void;
  /** An order of this scope is on its way. */
  hold(scope: Scope): void;
  check: KillView['check'];
  apply: KillView['apply'];
  epoch: KillView['epoch'];
  stale: KillView['stale'];
}

/** An order that is not there by then was not given. */
const holdMs = 1_000;
const holdsMost = 1_024;

/** The view without its transport. `now` is monotonic, in milliseconds. */
export const createKillState = (now: () => number): KillState => {
  const byKey = new Map<string, Known>();
  const holds = new Map<string, { scope: Scope; until: number }>();
  /** Orders that stand. Mostly there is none, and then no key has to be made of a call. */
  let standing = 0;
  let followed = 0;
  let pulseAt = Number.NEGATIVE_INFINITY;
  const stale = (maxAgeMs: number = limits.killViewStaleMs) => {
    const silentMs = now() - pulseAt;
    if (silentMs > maxAgeMs)
      return `nobody vouched for the kill view for ${Number.isFinite(silentMs) ? Math.round(silentMs) : 'ever'} ms`;
    return undefined;
  };
  const put = (seq: number, known: Omit<Known, 'epoch'>) => {
    const key = scopeKey(known.scope);
    holds.delete(key);
    const before = byKey.get(key);
    // An order that was applied ahead of the stream must not be undone by an older record of the same scope.
    if (before && before.epoch >= seq) return;
    // A lift is remembered too: a late word of the order before it must not kill again.
    byKey.set(key, { epoch: seq, ...known });
    standing += Number(known.killed) - Number(before?.killed ?? false);
  };
  return {
    take: (seq, record) => {
      put(seq, { scope: record.scope, reason: record.reason, killed: record.state === 'killed' });
      followed = Math.max(followed, seq);
    },
    pulse: (epoch, ageMs = 0) => {
      // A pulse vouches for the view only once the view has everything that the pulse knows of; one that waited somewhere, as before a
      // process that was frozen, vouches for the time when it was said.
      if (followed >= epoch) pulseAt = Math.max(pulseAt, now() - Math.max(0, ageMs));
    },
    hold: (scope) => {
      if (holds.size >= holdsMost) for (const [key, { until }] of holds) if (until <= now()) holds.delete(key);
      if (holds.size < holdsMost) holds.set(scopeKey(scope), { scope, until: now() + holdMs });
    },
    apply: (scope, epoch) => put(epoch, { scope, reason: 'killed by an operator', killed: true }),
    check: (call, maxAgeMs) => {
      const why = stale(maxAgeMs);
      if (why) throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', why);
      if (standing === 0 && holds.size === 0) return { epoch: followed };
      for (const key of coveringKeys(call)) {
        const known = byKey.get(key);
        if (known?.killed) return { epoch: followed, killed: { scope: known.scope, reason: known.reason } };
        const held = holds.get(key);
        if (held && held.until > now())
          return { epoch: followed, killed: { scope: held.scope, reason: 'an operator is ordering it' } };
      }
      return { epoch: followed };
    },
    epoch: () => followed,
    stale: () => stale(),
  };
};

export const createKillView = async ({
  bus,
  now = () => performance.now(),
  wall = Date.now,
}: {
  bus: Pick<Bus, 'follow' | 'hear'>;
  now?: () => number;
  /** The clock that pulses are stamped with, in milliseconds since the epoch. */
  wall?: () => number;
}): Promise<KillView> => {
  const state = createKillState(now);
  const waiting = new Set<{ epoch: number; tell(): void }>();
  bus.hear(killPulse, ({ epoch, at }) => state.pulse(epoch, wall() - at));
  const holding: ((scope: Scope) => void)[] = [];
  bus.hear(killHold, ({ scope }) => {
    state.hold(scope);
    for (const hear of holding) hear(scope);
  });
  const follower = await bus.follow(killStream.name, {
    onMessage: (m) => {
      const record = killRecord.safeParse(JSON.parse(new TextDecoder().decode(m.data)));
      // An order that cannot be read could be any order: nothing may pass until somebody looked.
      state.take(
        m.seq,
        record.success
          ? record.data
          : { state: 'killed', scope: { kind: 'global' }, reason: `kill order ${m.seq} cannot be read` },
      );
      for (const w of waiting) if (state.epoch() >= w.epoch) w.tell();
    },
  });
  return {
    check: state.check,
    apply: state.apply,
    onHold: (hear) => void holding.push(hear),
    epoch: state.epoch,
    stale: state.stale,
    reached: (epoch, waitMs) => {
      if (state.epoch() >= epoch) return true;
      return new Promise((resolve) => {
        const end = (reached: boolean) => {
          clearTimeout(timer);
          waiting.delete(w);
          resolve(reached);
        };
        const w = { epoch, tell: () => end(true) };
        const timer = setTimeout(() => end(false), waitMs);
        waiting.add(w);
      });
    },
    close: () => follower.close(),
  };
};
