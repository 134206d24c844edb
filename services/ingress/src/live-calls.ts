import { type CallIdentity, covers, type Scope } from '@agentgate/contracts';

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
  /** Resolves once it is to end early. */
  ended: Promise<Ending>;
  end(ending: Ending): void;
}

export interface LiveCalls {
  readonly size: number;
  open(about: CallIdentity & { call: string; key: string | undefined; deadline: number }): LiveCall;
  close(call: LiveCall): void;
  find(
    who: { tenant: string; agent: string },
    by: { call?: string | undefined; key?: string | undefined },
  ): LiveCall | undefined;
  covered(scope: Scope): LiveCall[];
}

const keyOf = (tenant: string, agent: string, key: string) => `${tenant}/${agent}/${key}`;

export const createLiveCalls = (): LiveCalls => {
  const byId = new Map<string, LiveCall>();
  const byKey = new Map<string, LiveCall>();
  return {
    get size() {
      return byId.size;
    },
    open: (about) => {
      let end: (ending: Ending) => void = () => {};
      const ended = new Promise<Ending>((resolve) => {
        end = resolve;
      });
      const live: LiveCall = {
        ...about,
        stage: 'deciding',
        ending: undefined,
        ended,
        end: (ending) => {
          // The first word stands, but a kill outranks a cancel: the agent must hear of it.
          if (live.ending === undefined || ending.why === 'killed') live.ending = ending;
          end(ending);
        },
      };
      byId.set(live.call, live);
      if (live.key !== undefined) byKey.set(keyOf(live.tenant, live.agent, live.key), live);
      return live;
    },
    close: (live) => {
      live.stage = 'finished';
      byId.delete(live.call);
      if (live.key !== undefined) byKey.delete(keyOf(live.tenant, live.agent, live.key));
    },
    find: (who, by) => {
      const found =
        by.call !== undefined
          ? byId.get(by.call)
          : by.key !== undefined
            ? byKey.get(keyOf(who.tenant, who.agent, by.key))
            : undefined;
      return found && found.tenant === who.tenant && found.agent === who.agent ? found : undefined;
    },
    covered: (scope) => [...byId.values()].filter((live) => covers(scope, live)),
  };
};
