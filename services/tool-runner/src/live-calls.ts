import { type CallIdentity, covers, type Fate, type Scope } from '@agentgate/contracts';

/** Why a call is ended before it ended by itself. */
export type Ending =
  | { why: 'cancelled' }
  | { why: 'timeout' }
  | { why: 'killed'; scope: Scope; reason: string }
  | { why: 'stopping' };

/** One call in this runner. The runner owns it; cancel and contain only tell it to end. */
export interface LiveCall extends CallIdentity {
  readonly call: string;
  /** Once it stands, a call that was not handed to its tool never is. */
  ending: Ending | undefined;
  /** Resolves when `ending` is set. */
  readonly whenEnding: Promise<Ending>;
  /** Resolves when the call is over, with what became of it; undefined where it never started. */
  readonly whenOver: Promise<Fate | undefined>;
  /** Of a killed call: its answer leaves after the order was confirmed, which must not wait for what becomes of thousands of answers. */
  told: Promise<void> | undefined;
  end(ending: Ending): void;
  over(fate: Fate | undefined): void;
}

interface Ended {
  identity: CallIdentity;
  fate: Fate;
  at: number;
}

/** So long a call that is over is still told of. */
const recentMs = 5_000;
const maxRecent = 65_536;
/** A cancellation may overtake its call: the call is then refused on arrival. */
const earlyMs = 10_000;
const maxEarly = 65_536;
/** An order that was held for is confirmed by then, or was not given. */
const heldMs = 250;
/** The other points need about as long as this one did. */
const callsAMs = 8;
const maxHeldMs = 60;

export interface LiveCalls {
  readonly size: number;
  has(call: string): boolean;
  open(call: string, identity: CallIdentity): LiveCall;
  close(live: LiveCall, fate: Fate | undefined): void;
  /** Ends the call; what became of it, or undefined where it is not known here. */
  end(call: string, ending: Ending): Promise<Fate | undefined>;
  /** Ends every call in scope before its order is there; `contain` tells of them. */
  hold(scope: Scope): void;
  /** Ends every call in scope; of each, and of those that ended lately, what became of it. */
  contain(scope: Scope, reason: string): Promise<{ call: string; fate: Fate }[]>;
  endAll(ending: Ending): void;
  /** Whether the call was cancelled before it arrived. */
  endedEarly(call: string): boolean;
}

export const createLiveCalls = (now: () => number): LiveCalls => {
  const live = new Map<string, LiveCall>();
  const recent = new Map<string, Ended>();
  const early = new Map<string, number>();
  const stop = async (one: LiveCall, ending: Ending): Promise<Fate> => {
    one.end(ending);
    // One that was not handed over is over at once, without a fate of its own.
    return (await one.whenOver) ?? 'aborted';
  };
  /** Of killed calls whose answers wait: lets them leave. */
  const tells = new Set<() => void>();
  const kill = (scope: Scope, reason: string) => {
    const running = [...live.values()].filter((one) => covers(scope, one));
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    tells.add(tell);
    for (const one of running) one.told = told;
    // All are told before any is awaited.
    const fates = running.map(async (one) => ({
      call: one.call,
      fate: await stop(one, { why: 'killed', scope, reason }),
    }));
    return { fates, tell };
  };
  const letLeave = (these: Iterable<() => void>) => {
    for (const tell of these) {
      tell();
      tells.delete(tell);
    }
  };
  return {
    get size() {
      return live.size;
    },
    has: (call) => live.has(call),
    open: (call, identity) => {
      const one = createLiveCall(call, identity);
      live.set(call, one);
      return one;
    },
    close: (one, fate) => {
      live.delete(one.call);
      if (fate !== undefined) {
        const { tenant, agent, session, tool } = one;
        remember(recent, one.call, { identity: { tenant, agent, session, tool }, fate, at: now() }, maxRecent);
      }
      one.over(fate);
    },
    end: async (call, ending) => {
      const one = live.get(call);
      if (one) return stop(one, ending);
      const ended = recent.get(call);
      if (ended && now() - ended.at <= recentMs) return ended.fate;
      remember(early, call, now(), maxEarly);
      return undefined;
    },
    hold: (scope) => {
      const { tell } = kill(scope, 'an operator is ordering it');
      setTimeout(() => letLeave([tell]), heldMs);
    },
    contain: async (scope, reason) => {
      const over = [...recent]
        .filter(([, ended]) => now() - ended.at <= recentMs && covers(scope, ended.identity))
        .map(([call, { fate }]) => ({ call, fate }));
      const { fates } = kill(scope, reason);
      const all = [...(await Promise.all(fates)), ...over].slice(0, maxRecent);
      // The confirmation is written in this turn of the event loop.
      setTimeout(() => letLeave(tells), Math.min(maxHeldMs, all.length / callsAMs));
      return all;
    },
    endAll: (ending) => {
      for (const one of live.values()) one.end(ending);
    },
    endedEarly: (call) => {
      const at = early.get(call);
      return at !== undefined && now() - at <= earlyMs;
    },
  };
};

/** Keeps the newest `most`. */
const remember = <T>(map: Map<string, T>, key: string, value: T, most: number): void => {
  map.delete(key);
  map.set(key, value);
  if (map.size <= most) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
};

const createLiveCall = (call: string, { tenant, agent, session, tool }: CallIdentity): LiveCall => {
  const ending = Promise.withResolvers<Ending>();
  const over = Promise.withResolvers<Fate | undefined>();
  const one: LiveCall = {
    call,
    tenant,
    agent,
    session,
    tool,
    ending: undefined,
    whenEnding: ending.promise,
    whenOver: over.promise,
    told: undefined,
    end: (why) => {
      one.ending ??= why;
      ending.resolve(one.ending);
    },
    over: over.resolve,
  };
  return one;
};
