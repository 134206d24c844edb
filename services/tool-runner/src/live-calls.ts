import { type CallIdentity, covers, type Fate, type Scope } from '@agentgate/contracts';
import { createRecent } from '@agentgate/runtime';

/** Why a call is ended before it ended by itself. */
export type Ending =
  | { why: 'cancelled' }
  | { why: 'timeout' }
  | { why: 'killed'; scope: Scope; reason: string }
  | { why: 'stopping' };

/** One call in this runner. The runner owns it; cancel and contain only tell it to end. */
export interface LiveCall extends CallIdentity {
  readonly call: string;
  /** Once it stands, a call that was not handed to its tool never is. Set by `endCall` alone. */
  ending: Ending | undefined;
  /**
   * Hears of the ending at once. A call waits for one thing at a time, so this is that one wait's: a promise that every wait raced against would hold
   * all of them until the call is over.
   */
  onEnding: ((ending: Ending) => void) | undefined;
  /** Of a killed call: its answer leaves after the order was confirmed, which must not wait for what becomes of thousands of answers. */
  told: Promise<void> | undefined;
  /** Made by the first that asks what became of it; undefined where it never started. */
  over: PromiseWithResolvers<Fate | undefined> | undefined;
}

/** The first ending counts. */
export const endCall = (one: LiveCall, ending: Ending): void => {
  if (one.ending) return;
  one.ending = ending;
  one.onEnding?.(ending);
};

/** What became of a call that is over. */
interface Ended {
  who: CallIdentity;
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
  const recent = createRecent<Ended>({ keptMs: recentMs, most: maxRecent, now });
  const callers = createRecent<CallIdentity & { at: number }>({ keptMs: recentMs, most: maxRecent, now });
  /** One for all calls of a session to a tool: of what is remembered these texts are the most. */
  const whoOf = ({ tenant, agent, session, tool }: CallIdentity, at: number): CallIdentity => {
    const key = `${session} ${tool}`;
    const known = callers.get(key);
    // What the caller says of itself is not checked yet: the same session may be named by another.
    if (known?.tenant === tenant && known.agent === agent && known.session === session && known.tool === tool)
      return known;
    const who = { tenant, agent, session, tool, at };
    callers.set(key, who);
    return who;
  };
  const early = createRecent<{ at: number }>({ keptMs: earlyMs, most: maxEarly, now });
  const stop = async (one: LiveCall, ending: Ending): Promise<Fate> => {
    one.over ??= Promise.withResolvers();
    endCall(one, ending);
    // One that was not handed over is over at once, without a fate of its own.
    return (await one.over.promise) ?? 'aborted';
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
    open: (call, { tenant, agent, session, tool }) => {
      const one: LiveCall = {
        call,
        tenant,
        agent,
        session,
        tool,
        ending: undefined,
        onEnding: undefined,
        told: undefined,
        over: undefined,
      };
      live.set(call, one);
      return one;
    },
    close: (one, fate) => {
      live.delete(one.call);
      if (fate !== undefined) {
        const at = now();
        recent.set(one.call, { who: whoOf(one, at), fate, at });
      }
      one.over?.resolve(fate);
    },
    end: async (call, ending) => {
      const one = live.get(call);
      if (one) return stop(one, ending);
      const ended = recent.get(call);
      if (ended) return ended.fate;
      early.set(call, { at: now() });
      return undefined;
    },
    hold: (scope) => {
      const { tell } = kill(scope, 'an operator is ordering it');
      setTimeout(() => letLeave([tell]), heldMs);
    },
    contain: async (scope, reason) => {
      const over = recent
        .entries()
        .filter(([, { who }]) => covers(scope, who))
        .map(([call, { fate }]) => ({ call, fate }));
      const { fates } = kill(scope, reason);
      // The newest first: ingress, too, tells of what was ended just now, and knows less of it.
      const all = [...(await Promise.all(fates)), ...over.reverse()].slice(0, maxRecent);
      // The confirmation is written in this turn of the event loop.
      setTimeout(() => letLeave(tells), Math.min(maxHeldMs, all.length / callsAMs));
      return all;
    },
    endAll: (ending) => {
      for (const one of live.values()) endCall(one, ending);
    },
    endedEarly: (call) => early.get(call) !== undefined,
  };
};
