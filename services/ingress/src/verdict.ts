import {
  AgentGateError,
  type Code,
  type DecideAnswer,
  type Decision,
  killedError,
  type Obligations,
  type Permit,
  type PolicyRevision,
  type Scope,
  type TheCall,
  toAgentGateError,
} from '@agentgate/contracts';
import type { CallPorts } from './call-path.ts';

/** What policy and the kill-switch say of a call. */
export interface Verdict {
  decision: Decision;
  policy?: PolicyRevision | undefined;
  epoch?: number | undefined;
  permit?: Permit | undefined;
  /** Policy sees the result before the agent does. */
  observe?: boolean;
  retryAfterMs?: number | undefined;
  /** What a person is asked about, to be asked again with. */
  approval?: DecideAnswer['approval'];
}

const deny = (code: Code, reason: string, obligations: Obligations): Decision => ({
  action: 'deny',
  code,
  obligations,
  reason,
});

type Said<T> = T | AgentGateError;
type KillAnswer = Awaited<ReturnType<CallPorts['checkKill']>>;

/** Both questions at once. What a part does not answer is its answer: neither rejects. */
export const askBoth = (
  ports: Pick<CallPorts, 'decide' | 'checkKill'>,
  call: TheCall,
  approval: string | undefined,
): { policy: Promise<Said<DecideAnswer>>; kill: Promise<Said<KillAnswer>> } => {
  const { tenant, agent, session, tool } = call;
  return {
    policy: ports.decide(approval === undefined ? call : { ...call, approval }).catch(toAgentGateError),
    kill: ports.checkKill({ tenant, agent, session, tool }).catch(toAgentGateError),
  };
};

/** A kill outranks policy; a part that did not answer denies, and says which. */
export const judge = (policy: Said<DecideAnswer>, kill: Said<KillAnswer>): Verdict => {
  const answered = policy instanceof AgentGateError ? undefined : policy;
  const revision = answered?.policy;
  const kept = keptOf(answered?.decision.obligations);
  if (kill instanceof AgentGateError)
    return { decision: failed(kill, 'KILL_SWITCH_UNAVAILABLE', kept), policy: revision };
  const { epoch, killed } = kill;
  if (killed) return { decision: killedDecision(killed, kept), policy: revision, epoch };
  if (policy instanceof AgentGateError) return { decision: failed(policy, 'POLICY_UNAVAILABLE', kept), epoch };
  const { decision, permit, observe, retry_after_ms, approval: waiting } = policy;
  if (decision.action === 'allow' && !permit)
    return {
      decision: deny('POLICY_UNAVAILABLE', 'policy allowed the call without a permit', kept),
      policy: revision,
      epoch,
    };
  return {
    decision,
    policy: revision,
    epoch,
    permit,
    observe: observe === true,
    retryAfterMs: retry_after_ms,
    approval: waiting,
  };
};

/**
 * Which approval evidence names. Of an allowed call only one that its permit holds: an agent may name any, also one that a person gave for another
 * call, and nobody looks at it where no person has to be asked. Policy's permit is not read here before: it may be anything.
 */
export const approvalIn = (
  { decision, permit, approval: waiting }: Verdict,
  asked: string | undefined,
): string | undefined => {
  if (decision.action !== 'allow') return asked ?? waiting?.id;
  return permit?.claims?.approval?.claims?.approval === asked ? asked : undefined;
};

/** What evidence must not hold, whoever refused the call. Where policy did not say, it holds a digest of the arguments. */
const keptOf = (obligations: Obligations | undefined): Obligations => {
  if (!obligations) return { evidence: 'digest' };
  const { redact, evidence } = obligations;
  return { ...(redact && { redact }), ...(evidence && { evidence }) };
};

/** An unforeseen error is the failure of the part that was asked. */
const failed = ({ code, message }: AgentGateError, part: Code, kept: Obligations): Decision =>
  deny(code === 'INTERNAL' ? part : code, message, kept);
const killedDecision = (killed: { scope: Scope; reason: string }, kept: Obligations): Decision => {
  const { code, message } = killedError(killed);
  return deny(code, message.slice(0, 2048), kept);
};
