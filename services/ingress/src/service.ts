import type { CallAsk, CallReply, CancelAsk, Config, Fate, Scope, TheCall } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import { createHeld } from '@agentgate/runtime';
import { createAdmission } from './admission.ts';
import { type CallPorts, type Reply, refusalReply, runCall } from './call-path.ts';
import { type KeyStore, runOnce } from './idempotency.ts';
import { endCall, type LiveCall, type LiveCalls } from './live-calls.ts';

export interface Identity {
  tenant: string;
  agent: string;
}
export type CancelStatus = Fate | 'not_found';

export interface IngressPorts extends CallPorts {
  keys: KeyStore;
  /** Tells every runner to end the call; the fate, where one of them knew it. */
  cancelAtRunner(call: string): Promise<Fate | undefined>;
  /** Asks the other replicas of ingress. */
  cancelElsewhere(who: Identity, by: CancelAsk): Promise<CancelStatus>;
  newCallId(): string;
}

export interface Ingress {
  /** `bytes` is the size of the call's message. Does not reject. */
  call(who: Identity, ask: CallAsk, bytes: number): Promise<CallReply>;
  cancel(who: Identity, by: CancelAsk): Promise<CancelStatus>;
  cancelHere(who: Identity, by: { call?: string | undefined; key?: string | undefined }): Promise<CancelStatus>;
  /** Ends every call in the scope before its order is there; `contain` tells of them. */
  hold(scope: Scope): void;
  /** Ends every call in the scope and tells what became of each, as far as it is known here. */
  contain(scope: Scope): Contained[];
}

interface Contained {
  call: string;
  /** How far it had come, as long as nobody knows what became of it. */
  fate: Fate | 'not_started' | 'dispatched';
}

/** How long after its deadline somebody may still be at work on a call: an answer of the runner, the outcome's evidence. */
const afterDeadlineMs = 10_000;

export const createIngress = (ports: IngressPorts, live: LiveCalls, limits: Config['limits']): Ingress => {
  const admission = createAdmission(limits.calls_in_flight);
  const held = createHeld<LiveCall>(() => performance.now());
  const endAll = (scope: Scope): LiveCall[] => {
    const covered = live.covered(scope);
    for (const one of covered) endCall(one, { why: 'killed', scope });
    return covered;
  };
  const run = (who: Identity, ask: CallAsk, call: string, deadline: number): Promise<Reply> => {
    const { session, tool } = ask;
    const { tenant, agent } = who;
    const running = live.open({ tenant, agent, session, tool, call, key: ask.key, deadline });
    const theCall: TheCall = { call, tenant, agent, session, tool, arguments: ask.arguments, deadline };
    const end = (reply: Reply): Reply => {
      live.close(running, fateOf(reply, running.stage));
      return reply;
    };
    return runCall(ports, running, theCall, ask.approval).then(end, (error: unknown) =>
      end(refusalReply(error, running.call)),
    );
  };
  const accept = (who: Identity, ask: CallAsk): Promise<Reply> => {
    const call = ports.newCallId();
    const deadline = ports.now() + Math.min(ask.timeout_ms ?? limits.call_timeout_ms, limits.call_timeout_ms);
    if (ask.key === undefined) return run(who, ask, call, deadline);
    const content = sha256Hex(canonical({ session: ask.session, tool: ask.tool, arguments: ask.arguments }));
    const at = `idem:${who.tenant}:${who.agent}:${sha256Hex(ask.key)}`;
    return runOnce(
      ports.keys,
      { at, claim: { call, content, until: deadline + afterDeadlineMs }, deadline, approval: ask.approval },
      ports.now,
      () => run(who, ask, call, deadline),
    );
  };
  const cancelHere: Ingress['cancelHere'] = async (who, by) => {
    const found = live.find(who, by);
    return found ? endByAgent(ports, found) : (live.fateOf(who, by) ?? 'not_found');
  };
  return {
    call: (who, ask, bytes) => {
      try {
        admission.admit(bytes);
      } catch (error) {
        return Promise.resolve({ v: 1, ...refusalReply(error) });
      }
      const leave = (reply: Reply): CallReply => {
        admission.leave(bytes);
        return { v: 1, ...reply };
      };
      return Promise.try(accept, who, ask).then(leave, (error: unknown) => leave(refusalReply(error)));
    },
    cancelHere,
    cancel: async (who, by) => {
      const here = await cancelHere(who, by);
      return here === 'not_found' ? ports.cancelElsewhere(who, by) : here;
    },
    hold: (scope) => {
      for (const one of endAll(scope)) held.put(one.call, one, one);
    },
    contain: (scope) => [...new Set([...endAll(scope), ...held.coveredBy(scope)])].map(containedOf),
  };
};

const containedOf = ({ call, stage, fate }: LiveCall): Contained => ({
  call,
  fate: fate ?? (stage === 'deciding' ? 'not_started' : 'dispatched'),
});

/** What became of a call that has its reply. `aborted`: it did nothing. */
const fateOf = ({ status }: Reply, stage: LiveCall['stage']): Fate => {
  if (status === 'ok' || status === 'tool_error') return 'completed';
  const mayHaveRun = ['killed', 'cancelled', 'timeout', 'outcome_unknown'].includes(status);
  return mayHaveRun && stage === 'dispatched' ? 'unknown' : 'aborted';
};

const endByAgent = async (ports: IngressPorts, call: LiveCall): Promise<CancelStatus> => {
  const wasDispatched = call.stage === 'dispatched';
  endCall(call, { why: 'cancelled' });
  if (!wasDispatched) return 'aborted';
  return (await ports.cancelAtRunner(call.call)) ?? 'unknown';
};
