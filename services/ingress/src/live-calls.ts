import { type CallIdentity, covers, type Fate, type Scope } from '@agentgate/contracts';

/** Why a call ends before its time. */
export type Ending = { why: 'cancelled' } | { why: 'killed'; scope: Scope };

/** One call from its acceptance to its reply. Ingress holds no other state. */
export interface LiveCall extends CallIdentity {
  call: string;
  key: string | undefined;
  /** Milliseconds since the epoch. */
  deadline: number;
  stage: 'deciding' | 'dispatched' | 'finished';
  ending: Ending | undefined;
  /** What became of it, once that is known: runners remember it for some seconds only. */
  fate: Fate | undefined;
  /** Hears that it is to end early; `ending` says so from before. One at a time waits for it: for its witnesses, or for its runner. */
  onEnding: (() => void) | undefined;
}

export const endCall = (live: LiveCall, ending: Ending): void => {
  // The first word stands, but a kill outranks a cancel: the agent must hear of it.
  if (live.ending === undefined || ending.why === 'killed') live.ending = ending;
  const tell = live.onEnding;
  live.onEnding = undefined;
  tell?.();
};

type Who = Pick<CallIdentity, 'tenant' | 'agent'>;
type By = { call?: string | undefined; key?: string | undefined };

export interface LiveCalls {
  readonly size: number;
  open(about: CallIdentity & { call: string; key: string | undefined; deadline: number }): LiveCall;
  close(call: LiveCall, fate: Fate): void;
  find(who: Who, by: By): LiveCall | undefined;
  /** What became of a call that is over, while it is remembered. */
  fateOf(who: Who, by: By): Fate | undefined;
  covered(scope: Scope): LiveCall[];
}

/** At least so many calls that are over are remembered, and at most twice as many: a call's id is known to its agent only then. */
const endedMost = 4_096;

/** A call by its id, or by its agent's key. */
const nameOf = ({ tenant, agent }: Who, { call, key }: By): string =>
  call === undefined ? `${tenant}/${agent}/key/${key}` : `${tenant}/${agent}/${call}`;

export const createLiveCalls = (): LiveCalls => {
  const byId = new Map<string, LiveCall>();
  const byKey = new Map<string, LiveCall>();
  // Two maps that take turns: one that loses its oldest entry for each new one spends its time on making itself anew.
  let ended = new Map<string, Fate>();
  let endedBefore = new Map<string, Fate>();
  const remember = (name: string, fate: Fate) => {
    if (ended.size >= endedMost) {
      endedBefore = ended;
      ended = new Map();
    }
    ended.set(name, fate);
  };
  return {
    get size() {
      return byId.size;
    },
    open: (about) => {
      const live: LiveCall = { ...about, stage: 'deciding', ending: undefined, fate: undefined, onEnding: undefined };
      byId.set(live.call, live);
      if (live.key !== undefined) byKey.set(nameOf(live, { key: live.key }), live);
      return live;
    },
    close: (live, fate) => {
      live.stage = 'finished';
      live.fate ??= fate;
      byId.delete(live.call);
      remember(nameOf(live, { call: live.call }), fate);
      if (live.key === undefined) return;
      byKey.delete(nameOf(live, { key: live.key }));
      remember(nameOf(live, { key: live.key }), fate);
    },
    find: (who, by) => {
      const found =
        by.call !== undefined
          ? byId.get(by.call)
          : by.key !== undefined
            ? byKey.get(nameOf(who, { key: by.key }))
            : undefined;
      return found && found.tenant === who.tenant && found.agent === who.agent ? found : undefined;
    },
    fateOf: (who, by) => {
      const named = nameOf(who, by);
      return ended.get(named) ?? endedBefore.get(named);
    },
    covered: (scope) => [...byId.values()].filter((live) => covers(scope, live)),
  };
};
