import {
  AgentGateError,
  type CallReply,
  type Code,
  type DecideAnswer,
  type DecideAsk,
  type EventDraft,
  type ExecuteAnswer,
  type ExecuteAsk,
  type Fate,
  killedCode,
  killedError,
  limits,
  type Obligations,
  redactAt,
  type Scope,
  statusOfRefusal,
  type TheCall,
  toAgentGateError,
  type WitnessedEntry,
} from '@agentgate/contracts';
import { canonicalBytes, saltedDigest } from '@agentgate/evidence';
import type { Ending, LiveCall } from './live-calls.ts';
import { approvalIn, askBoth, judge, type Verdict } from './verdict.ts';

/** What the path of a call needs of the world. Each port has its own deadline and rejects with an AgentGateError. */
export interface CallPorts {
  decide(ask: DecideAsk): Promise<DecideAnswer>;
  checkKill(call: {
    tenant: string;
    agent: string;
    session: string;
    tool: string;
  }): Promise<{ epoch: number; killed?: { scope: Scope; reason: string } | undefined }>;
  /** This ingress' own view of the KILL stream; throws while it is stale. */
  ownKillView(call: LiveCall): { killed?: { scope: Scope; reason: string } };
  /** Resolves once witnesses have cosigned a checkpoint that covers this event, with the proof that the runner wants to see. */
  witnessed(event: string, deadline: number): Promise<WitnessedEntry>;
  execute(ask: ExecuteAsk): Promise<ExecuteAnswer>;
  /** Policy remembers what the result holds; resolves once it has. */
  observe(seen: {
    call: string;
    tenant: string;
    agent: string;
    session: string;
    tool: string;
    result: unknown;
  }): Promise<void>;
  /** Resolves with the event's id once it is durable. `onDurable` also hears of one that is written late. */
  record<N extends 'call.decided' | 'call.completed'>(draft: EventDraft<N>, onDurable?: () => void): Promise<string>;
  /** The outcome of a call of this session is not in evidence (or, `held: false`, at last is). */
  hold(call: LiveCall, held: boolean): void;
  now(): number;
}

export type Reply = Omit<CallReply, 'v'>;

/** After an early end a runner has so long to say what became of the call. */
const endGraceMs = 1_000;

/**
 * One call (ARCHITECTURE.md): decide and check at once, evidence, dispatch, evidence, reply. In two parts: whoever waits for a runner, which may
 * take long, keeps neither the arguments nor the permit.
 */
export const runCall = (
  ports: CallPorts,
  live: LiveCall,
  call: TheCall,
  approval: string | undefined,
): Promise<Reply> =>
  handOver(ports, live, call, approval).then((handed) => ('status' in handed ? handed : conclude(ports, live, handed)));

/** What the end of a call needs to know of its beginning. */
interface Handed {
  decided: string;
  /** Policy sees the result before the agent does. */
  observe: boolean;
  /** Does not reject. */
  outcome: Outcome | Promise<Outcome>;
}

const handOver = async (
  ports: CallPorts,
  live: LiveCall,
  call: TheCall,
  approval: string | undefined,
): Promise<Reply | Handed> => {
  const asked = askBoth(ports, call, approval);
  const verdict = judge(await asked.policy, await asked.kill);
  const told = argumentsInEvidence(call.arguments, verdict.decision.obligations);
  let decided: string;
  try {
    decided = await ports.record(decidedEvent(live, verdict, { approval: approvalIn(verdict, approval), told }));
  } catch (error) {
    return unrecorded(live, error);
  }
  if (verdict.decision.action !== 'allow' || !verdict.permit) return refuse(live, verdict, decided);
  const { permit, epoch = 0 } = verdict;
  const mustBeSeen = verdict.decision.obligations.witnessed === true;
  const witnessed = mustBeSeen ? await seen(ports, live, decided) : undefined;
  const outcome =
    witnessed && 'outcome' in witnessed
      ? witnessed
      : dispatch(ports, live, {
          ...call,
          permit,
          epoch,
          ...(witnessed && { witnessed: { ...witnessed, ...saltOf(told) } }),
        });
  return { decided, observe: verdict.observe === true, outcome };
};

const conclude = async (
  ports: CallPorts,
  live: LiveCall,
  { decided, observe, outcome: handed }: Handed,
): Promise<Reply> => {
  const outcome = await handed;
  live.fate = fateOf(outcome);
  // Both at once, and before the reply: evidence of the outcome, and policy's memory of where its values came from. Neither rejects.
  const seeing = observe ? whyUnseen(ports, live, outcome) : undefined;
  const completed = await recordOutcome(ports, live, outcome);
  const unseen = seeing && (await seeing);
  if (completed === undefined)
    return {
      call: live.call,
      status: 'outcome_unknown',
      code: 'OUTCOME_UNKNOWN',
      reason: 'the outcome could not be written to evidence; the session is held until it is',
      evidence: { decided },
    };
  if (unseen !== undefined)
    return {
      call: live.call,
      status: 'outcome_unknown',
      code: 'POLICY_UNAVAILABLE',
      reason: `it ran, and its result is withheld because policy could not see it: ${unseen}`,
      evidence: { decided, completed },
    };
  return { ...replyTo(live, outcome), evidence: { decided, completed } };
};

/** Why policy did not see the result; undefined where it did, or where there is none. */
const whyUnseen = async (ports: CallPorts, live: LiveCall, { result }: Outcome): Promise<string | undefined> => {
  if (result === undefined) return undefined;
  const { call, tenant, agent, session, tool } = live;
  try {
    await ports.observe({ call, tenant, agent, session, tool, result });
    return undefined;
  } catch (error) {
    return toAgentGateError(error).message.slice(0, 1024);
  }
};

const decidedEvent = (
  live: LiveCall,
  { decision, policy, epoch }: Verdict,
  { approval, told }: { approval: string | undefined; told: ToldArguments },
): EventDraft<'call.decided'> => ({
  name: 'call.decided',
  subject: live.call,
  tenant: live.tenant,
  agent: live.agent,
  session: live.session,
  // In canonical order, which serializes three times as fast.
  data: {
    ...(approval === undefined ? {} : { approval }),
    ...told.inEvent,
    call: live.call,
    ...(decision.action === 'allow' ? { deadline: live.deadline } : {}),
    decision,
    ...(epoch === undefined ? {} : { kill_epoch: epoch }),
    ...(policy ? { policy } : {}),
    tool: live.tool,
  },
  ...(told.disclosures && { disclosures: told.disclosures }),
});

const unrecorded = (live: LiveCall, error: unknown): Reply => {
  const { code, message } = toAgentGateError(error);
  return {
    call: live.call,
    status: 'unavailable',
    code: code === 'INTERNAL' ? 'EVIDENCE_UNAVAILABLE' : code,
    reason: `nothing ran: ${message}`,
  };
};

/**
 * Whole, with what is to be redacted taken out, or as a salted digest: of what is too large, which is kept beside the log, and of what policy
 * wants as one. Of that only the salt is kept: whoever has the arguments can prove them, and nobody can look them up.
 */
const argumentsInEvidence = (args: Record<string, unknown>, { evidence = 'full', redact }: Obligations) => {
  const { value, redacted } = redactAt(args, redact?.arguments ?? []);
  const isWanted = evidence === 'full' || (evidence === 'redacted' && redact?.arguments !== undefined);
  // Arguments that are redacted as a whole are no object any more.
  if (!isWanted || typeof value !== 'object') {
    const { digest, salt } = saltedDigest(args);
    return digestOnly(digest, canonicalBytes(args), { salt });
  }
  const bytes = canonicalBytes(value);
  const taken = redacted.length > 0 && { redacted };
  if (bytes <= limits.evidenceInlineBytes) return { inEvent: { arguments: value, ...taken }, disclosures: undefined };
  const { digest, salt } = saltedDigest(value);
  const { inEvent, disclosures } = digestOnly(digest, bytes, { salt, value });
  return { inEvent: { ...inEvent, ...taken }, disclosures };
};

type ToldArguments = ReturnType<typeof argumentsInEvidence>;
/** The runner compares the entry's digest with the arguments that it is given. */
const saltOf = ({ disclosures: [opening] = [] }: ToldArguments) => opening && { salt: opening.salt };

const digestOnly = (sha256: string, bytes: number, opening: { salt: string; value?: unknown }) => ({
  inEvent: { arguments_digest: { sha256, bytes } },
  disclosures: [{ field: 'arguments_digest', ...opening }],
});

const refuse = (live: LiveCall, { decision, retryAfterMs, approval }: Verdict, decided: string): Reply => ({
  call: live.call,
  status: statusOfRefusal(decision.code),
  code: decision.code,
  reason: decision.reason,
  ...(decision.rule === undefined ? {} : { rule: decision.rule }),
  ...(approval && { approval }),
  ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
  evidence: { decided },
});

type Outcome = Pick<ExecuteAnswer, 'outcome' | 'code' | 'reason' | 'result' | 'duration_ms' | 'lease' | 'redacted'>;
const notRun = (code: Code, reason: string): Outcome => ({
  outcome: 'refused',
  code,
  reason,
  duration_ms: 0,
  redacted: [],
});
const unknown = (reason: string, duration_ms: number): Outcome => ({
  outcome: 'unknown',
  code: 'OUTCOME_UNKNOWN',
  reason,
  duration_ms,
  redacted: [],
});

const fateOf = ({ outcome }: Outcome): Fate => {
  switch (outcome) {
    case 'ok':
    case 'tool_error':
      return 'completed';
    case 'refused':
    case 'aborted':
      return 'aborted';
    case 'timeout':
    case 'unknown':
      return 'unknown';
    default:
      return outcome satisfies never;
  }
};

/** A permit lives five seconds; what is left of them is the runner's. */
const witnessMs = limits.permitTtlMs - 1_500;

/** Waits for the witnesses of the decision, unless the call is ended meanwhile: then nothing waits any more, and dispatch refuses. */
const seen = async (
  ports: CallPorts,
  live: LiveCall,
  decided: string,
): Promise<WitnessedEntry | Outcome | undefined> => {
  try {
    const deadline = Math.min(live.deadline, ports.now() + witnessMs);
    return await new Promise<WitnessedEntry | undefined>((resolve, reject) => {
      live.onEnding = () => resolve(undefined);
      ports.witnessed(decided, deadline).then(resolve, reject);
      if (live.ending) resolve(undefined);
    });
  } catch (error) {
    const { code, message } = toAgentGateError(error);
    // Whatever became of the question, the call itself went to nobody.
    return notRun(code === 'OVERLOADED' ? code : 'EVIDENCE_UNAVAILABLE', `nothing ran: ${message}`);
  }
};

/** Hands the call to a runner, unless it was ended meanwhile. There is no await between the last look and the handing over. */
const dispatch = (ports: CallPorts, live: LiveCall, ask: ExecuteAsk): Outcome | Promise<Outcome> => {
  try {
    const { killed } = ports.ownKillView(live);
    if (killed) throw killedError(killed);
  } catch (error) {
    const { code, message } = toAgentGateError(error);
    return notRun(code, message);
  }
  if (live.ending) return notRun(endingCode(live.ending), 'ended before it was dispatched');
  if (ports.now() >= live.deadline) return notRun('TIMEOUT', 'the deadline passed before it was dispatched');
  live.stage = 'dispatched';
  return outcomeOf(live, ports.execute(ask), performance.now());
};

/** What the runner says of a call, or that it said nothing in time once the call was ended. */
const outcomeOf = (live: LiveCall, answer: Promise<ExecuteAnswer>, started: number): Promise<Outcome> =>
  new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const settle = (outcome: Outcome) => {
      live.onEnding = undefined;
      clearTimeout(timer);
      resolve(outcome);
    };
    live.onEnding = () => {
      timer = setTimeout(() => settle(abandoned(started)), endGraceMs);
    };
    answer.then(settle, (error: unknown) => settle(failed(error, started)));
  });

const abandoned = (started: number): Outcome =>
  unknown('it was ended, and the runner did not say what became of it', msSince(started));
const failed = (error: unknown, started: number): Outcome => {
  const { code, message } = toAgentGateError(error);
  return code === 'OUTCOME_UNKNOWN' || code === 'INTERNAL' ? unknown(message, msSince(started)) : notRun(code, message);
};
const msSince = (started: number) => Math.round((performance.now() - started) * 1000) / 1000;

const endingCode = (ending: Ending): Code => (ending.why === 'cancelled' ? 'CANCELLED' : killedCode(ending.scope));

const recordOutcome = async (ports: CallPorts, live: LiveCall, outcome: Outcome): Promise<string | undefined> => {
  let isLate = false;
  try {
    return await ports.record(completedEvent(live, outcome), () => {
      if (isLate) ports.hold(live, false);
    });
  } catch {
    isLate = true;
    ports.hold(live, true);
    return undefined;
  }
};

/** Throws NOT_CANONICAL for a result that no honest runner gives. */
const completedEvent = (live: LiveCall, outcome: Outcome): EventDraft<'call.completed'> => {
  const { code, duration_ms, result, lease, redacted } = outcome;
  const salted = result === undefined ? undefined : saltedDigest(result);
  return {
    name: 'call.completed',
    subject: live.call,
    tenant: live.tenant,
    agent: live.agent,
    session: live.session,
    data: {
      call: live.call,
      code,
      duration_ms,
      ...(lease === undefined ? {} : { lease }),
      outcome: outcome.outcome === 'refused' ? 'aborted' : outcome.outcome,
      redacted,
      ...(salted && { result_digest: salted.digest }),
      tool: live.tool,
    },
    ...(salted && { disclosures: [{ field: 'result_digest', salt: salted.salt }] }),
  };
};

const replyTo = (live: LiveCall, outcome: Outcome): Reply => {
  const { reason, result } = outcome;
  const withResult = result === undefined ? {} : { result };
  switch (outcome.outcome) {
    case 'ok':
      return { call: live.call, status: 'ok', code: 'OK', reason, ...withResult };
    case 'tool_error':
      return { call: live.call, status: 'tool_error', code: 'TOOL_ERROR', reason, ...withResult };
    case 'timeout':
      return { call: live.call, status: 'timeout', code: 'TIMEOUT', reason };
    case 'refused':
      return { call: live.call, status: statusOfRefusal(outcome.code), code: outcome.code, reason };
    case 'aborted':
    case 'unknown':
      if (live.ending)
        return {
          call: live.call,
          status: live.ending.why,
          code: endingCode(live.ending),
          reason:
            outcome.outcome === 'aborted'
              ? 'the call was stopped'
              : 'the call was told to stop; whether it acted before is not known',
        };
      if (outcome.outcome === 'aborted')
        return { call: live.call, status: statusOfRefusal(outcome.code), code: outcome.code, reason };
      return { call: live.call, status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN', reason };
    default:
      return outcome.outcome satisfies never;
  }
};

/** The reply to something that never became a call. */
export const refusalReply = (error: unknown, call?: string): Reply => {
  const known = error instanceof AgentGateError ? error : toAgentGateError(error);
  return {
    ...(call === undefined ? {} : { call }),
    status: statusOfRefusal(known.code),
    code: known.code,
    reason: known.message.slice(0, 2048),
    ...(known.code === 'OVERLOADED' ? { retry_after_ms: 250 } : {}),
  };
};
