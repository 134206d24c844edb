import {
  AgentGateError,
  type CallIdentity,
  type ExecuteAnswer,
  type ExecuteAsk,
  type Fate,
  killedError,
  type Obligations,
  type Permit,
  type PermitClaims,
  type Scope,
} from '@agentgate/contracts';
import type { KeyRing } from '@agentgate/evidence';
import { approvalBinding, checkGrant } from '@agentgate/runtime';
import { answerTo, fateOf, type Run, refusal, type Settled } from './answer.ts';
import type { Catalog, CatalogEntry } from './catalog.ts';
import { endingError } from './ending.ts';
import { type Ending, endCall, type LiveCall, type LiveCalls } from './live-calls.ts';
import type { PermitCheck } from './permit-check.ts';
import type { Pins } from './pins/pins.ts';
import type { Channel, Dispatch, LeasedCredential, UpstreamEnd } from './upstream.ts';
import type { UsedPermits } from './used-permits.ts';
import type { WitnessCheck } from './witness-check.ts';

/** The runner's own view of the kill orders. */
interface Kills {
  check(call: CallIdentity, maxAgeMs?: number): { killed?: { scope: Scope; reason: string } };
  reached(epoch: number, waitMs: number): true | Promise<boolean>;
  apply(scope: Scope, epoch: number): void;
}

export interface Broker {
  /** A lease for this call; its secret stays in memory for the call, or for as long as the session's lease lives, and nowhere else. */
  lease(permit: Permit, epoch: number): Promise<LeasedCredential>;
  /** The call is over. Returns at once; the broker's sweep ends what this cannot. */
  release(leased: LeasedCredential): void;
  /** What is held for sessions that an order covers is held no more. */
  forget(scope: Scope): void;
}

export interface RunnerPorts {
  permits: PermitCheck;
  witnessed: WitnessCheck;
  usedPermits: UsedPermits;
  kills: Kills;
  catalog: Catalog;
  pins: Pick<Pins, 'quarantine'>;
  broker: Broker;
  live: LiveCalls;
  limits: { callsInFlight: number; resultBytes: number };
  /** Verifies what the approvals service signs. */
  trust: KeyRing;
  log: { error(fields: object, message: string): void };
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface Runner {
  /** Runs one permitted call. Never rejects: what went wrong is in the answer. */
  execute(ask: ExecuteAsk): Promise<ExecuteAnswer>;
  cancel(call: string, why: 'cancelled' | 'timeout'): Promise<Fate | undefined>;
  /** Ends what runs in the scope before its order is there; `contain` tells of it. */
  hold(scope: Scope): void;
  contain(epoch: number, scope: Scope): Promise<{ call: string; fate: Fate }[]>;
  /** Takes nothing new; waits for what runs, then ends it. */
  drain(waitMs: number): Promise<void>;
}

/**
 * A kill-switch answers its operator without a point that was silent for 2 s. Whoever was frozen for that long has a view that is older than this
 * when it wakes, and hands over nothing until it has heard what happened.
 */
const dispatchFreshMs = 1_900;
/** How long the kill view may take to reach the epoch that ingress decided at. */
const killWaitMs = 100;
/** So long a server that was told to stop may still answer; after it, what became of the call is not known. */
const stopGraceMs = 250;
/** By so much a server's clock may run ahead of ours. */
const clockMs = 100;

export const createRunner = (ports: RunnerPorts): Runner => {
  const { live } = ports;
  let stopping = false;
  const execute = async (ask: ExecuteAsk): Promise<ExecuteAnswer> => {
    const began = performance.now();
    const took = () => Math.round((performance.now() - began) * 1000) / 1000;
    if (stopping) return refusal(new AgentGateError('RUNNER_UNAVAILABLE', 'the tool-runner is stopping'), took());
    if (live.size >= ports.limits.callsInFlight)
      return refusal(new AgentGateError('OVERLOADED', 'too many calls are running'), took());
    if (live.has(ask.call))
      return refusal(new AgentGateError('POLICY_DENIED', 'permit: the call runs already'), took());
    const one = live.open(ask.call, ask);
    if (live.endedEarly(ask.call)) endCall(one, { why: 'cancelled' });
    let answer: ExecuteAnswer | undefined;
    try {
      answer = { ...(await run(ports, one, ask)), duration_ms: took() };
    } catch (error) {
      if (!(error instanceof AgentGateError))
        ports.log.error({ err: error, call: ask.call }, 'a call could not be run');
      answer = refusal(error, took());
    } finally {
      live.close(one, answer && fateOf(answer.outcome));
    }
    await one.told;
    return answer;
  };
  return {
    execute,
    cancel: (call, why) => live.end(call, { why }),
    hold: (scope) => {
      ports.broker.forget(scope);
      live.hold(scope);
    },
    contain: (epoch, scope) => {
      // First of all: what arrives from now on is refused, whatever becomes of the rest.
      ports.kills.apply(scope, epoch);
      ports.broker.forget(scope);
      return live.contain(scope, 'killed by an operator');
    },
    drain: async (waitMs) => {
      stopping = true;
      await allOver(live, waitMs);
      live.endAll({ why: 'stopping' });
      await allOver(live, 2 * stopGraceMs);
    },
  };
};

/** Everything that must hold before a tool runs, in this order. Each step throws its refusal; after `use` the permit is gone. */
const run = async (ports: RunnerPorts, one: LiveCall, ask: ExecuteAsk): Promise<Run> => {
  const claims = ports.permits(ask);
  refuseEnded(one);
  // Most calls find nothing to wait for: a wait is made only of what is not there yet.
  const relisting = ports.catalog.settled(ask.tool);
  if (relisting) await orEnded(one, relisting);
  const entry = ports.catalog.find(ask.tool);
  refuseOtherDefinition(ports, claims, entry);
  refuseObligations(claims.obligations, entry);
  refuseOtherApproval(ports, claims, entry, ask);
  ports.witnessed(ask, claims);
  const reached = ports.kills.reached(ask.epoch, killWaitMs);
  if (reached !== true) refuseBehind(await orEnded(one, reached), ask);
  refuseKilled(ports.kills, ask);
  await orEnded(one, ports.usedPermits.use(claims.id, claims.expires_at));
  entry.checkArguments(ask.arguments);
  if (!claims.obligations.credential) return await through(ports, one, ask, { claims, entry, lease: undefined });
  const lease = await orEnded(one, ports.broker.lease(ask.permit, ask.epoch), ports.broker.release);
  try {
    return { ...(await through(ports, one, ask, { claims, entry, lease })), lease: lease.lease };
  } finally {
    ports.broker.release(lease);
  }
};

interface Ready {
  claims: PermitClaims;
  entry: CatalogEntry;
  lease: LeasedCredential | undefined;
}

const through = async (
  ports: RunnerPorts,
  one: LiveCall,
  ask: ExecuteAsk,
  { claims, entry, lease }: Ready,
): Promise<Run> => {
  const deadline = Math.min(claims.deadline, ask.deadline);
  const opened = entry.upstream.prepare({ deadline, leased: lease });
  const channel: Channel = opened instanceof Promise ? await orEnded(one, opened, (late) => late.release()) : opened;
  try {
    // No await from here to `send`: nothing may come between the last look and the handing over.
    refuseKilled(ports.kills, ask, dispatchFreshMs);
    refuseOtherDefinition(ports, claims, ports.catalog.find(ask.tool));
    refuseEnded(one);
    refuseTooLate(claims, deadline, ports.now());
    const dispatch = channel.send({ call: ask.call, tool: entry.tool, arguments: ask.arguments, deadline });
    const ended = await settle(one, dispatch, deadline - ports.now());
    return answerTo(ended, {
      secrets: lease?.credential.hidden ?? [],
      hidden: claims.obligations.redact?.result ?? [],
      maxBytes: ports.limits.resultBytes,
    });
  } finally {
    channel.release();
  }
};

const refuseBehind = (isThere: boolean, { epoch }: ExecuteAsk): void => {
  if (!isThere)
    throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', `the tool-runner's kill view has not reached epoch ${epoch}`);
};

/** Throws KILL_SWITCH_UNAVAILABLE too, while the view is stale. */
const refuseKilled = (kills: Kills, call: CallIdentity, maxAgeMs?: number): void => {
  const { killed } = kills.check(call, maxAgeMs);
  if (killed) throw killedError(killed);
};
const refuseTooLate = (claims: PermitClaims, deadline: number, at: number): void => {
  if (at >= deadline) throw new AgentGateError('TIMEOUT', 'the deadline passed before the tool was called');
  if (at >= claims.expires_at)
    throw new AgentGateError('POLICY_DENIED', 'permit: it expired before the tool was called');
};

/** The tool is defined here and now as policy judged it, and as somebody accepted it. */
const refuseOtherDefinition = (
  { pins }: Pick<RunnerPorts, 'pins'>,
  { tool, schema_digest }: PermitClaims,
  { schemaDigest }: CatalogEntry,
): void => {
  const quarantined = pins.quarantine(tool, schemaDigest);
  if (quarantined !== undefined) throw new AgentGateError('TOOL_QUARANTINED', quarantined);
  if (schemaDigest !== schema_digest)
    throw new AgentGateError('TOOL_QUARANTINED', `tool ${tool} is defined otherwise than when the call was permitted`);
};

/** What the permit obliges this service to, and it cannot do, stops the call. The other obligations are other services'. */
const refuseObligations = (obligations: Obligations, entry: CatalogEntry): void => {
  const wanted = obligations.credential?.name;
  if (wanted === entry.credential) return;
  throw new AgentGateError(
    'CREDENTIAL_UNAVAILABLE',
    wanted === undefined
      ? 'the tool needs a credential, and the permit names none'
      : 'the permit names a credential that is not configured for this tool',
  );
};

/** Where a person had to be asked: it was this call, byte by byte, of the tool as it is here, under the policy of the permit. */
const refuseOtherApproval = (
  { trust, now }: RunnerPorts,
  { approval, policy, subject }: PermitClaims,
  { schemaDigest }: CatalogEntry,
  ask: ExecuteAsk,
): void => {
  if (!approval) return;
  const { tenant, agent, session, tool, call } = ask;
  const bound = { tenant, agent, session, tool, arguments: ask.arguments, schema_digest: schemaDigest, policy };
  const requester = { agent, person: subject?.person };
  checkGrant(approval, { keys: trust, call, binding: approvalBinding(bound), requester, now: now() });
};

const refuseEnded = (one: LiveCall): void => {
  if (one.ending) throw endingError(one.ending);
};
/** Waits for one step unless the call is ended first; what the step yields after that goes to `tooLate`. */
const orEnded = <T>(one: LiveCall, step: Promise<T>, tooLate?: (value: T) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    let isEnded = false;
    // A call that runs has steps behind it: a kill of thousands must not make an error for each of them.
    const onEnding = (ending: Ending) => {
      isEnded = true;
      reject(endingError(ending));
    };
    if (one.ending) onEnding(one.ending);
    else one.onEnding = onEnding;
    step.then(
      (value) => {
        if (isEnded) return tooLate?.(value);
        one.onEnding = undefined;
        resolve(value);
      },
      (error: unknown) => {
        if (isEnded) return;
        one.onEnding = undefined;
        reject(error);
      },
    );
  });

/** What the tool says, or undefined where somebody ends the call before. */
const saidOrEnded = ({ ended }: Dispatch, one: LiveCall): Promise<UpstreamEnd | undefined> =>
  new Promise((resolve) => {
    one.onEnding = () => resolve(undefined);
    ended.then(resolve);
  });

/** Waits for the tool, at most until the deadline or until somebody ends the call; then tells it to stop and waits a little more. */
const settle = async (one: LiveCall, dispatch: Dispatch, leftMs: number): Promise<Settled> => {
  const began = performance.now();
  const deadline = setTimeout(endCall, Math.max(0, leftMs), one, { why: 'timeout' });
  try {
    const said = await saidOrEnded(dispatch, one);
    if (said) {
      // The server keeps the deadline too, and by its own clock it may be there first.
      const isTime = said.kind === 'stopped' && performance.now() - began >= leftMs - clockMs;
      return { end: said, ending: isTime ? { why: 'timeout' } : undefined };
    }
    const ending = one.ending as Ending;
    dispatch.stop(ending.why);
    const { promise: tooLong, resolve } = Promise.withResolvers<UpstreamEnd>();
    const grace = setTimeout(
      () => resolve({ kind: 'lost', reason: 'the tool was told to stop and did not say whether it did' }),
      stopGraceMs,
    );
    const end = await Promise.race([dispatch.ended, tooLong]);
    clearTimeout(grace);
    return { end, ending };
  } finally {
    clearTimeout(deadline);
    dispatch.abandon();
  }
};

/** A wait is of real time, whatever the clock of the calls says. */
const allOver = async (live: LiveCalls, waitMs: number): Promise<void> => {
  const until = performance.now() + waitMs;
  while (live.size > 0 && performance.now() < until) await pause(20);
};
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
