import {
  AgentGateError,
  type ApprovalGrant,
  approvalDomain,
  approvalLines,
  type GrantClaims,
} from '@agentgate/contracts';
import { canonical, type KeyRing, sha256Hex, verifySeal } from '@agentgate/evidence';

/** All that an approval is for. Another session, argument, tool schema, policy revision or tenant is another call. */
export interface ApprovedCall {
  tenant: string;
  agent: string;
  session: string;
  tool: string;
  arguments: Record<string, unknown>;
  schema_digest: string;
  policy: { digest: string };
}

/** SHA-256, hex, over `agentgate-approval-v1\n` and the canonical form (RFC 8785) of the call. Throws where it has none. */
export const approvalBinding = (call: ApprovedCall): string => {
  const { tenant, agent, session, tool, arguments: args, schema_digest, policy } = call;
  const bound = { agent, arguments: args, policy: policy.digest, schema_digest, session, tenant, tool };
  return sha256Hex(`${approvalDomain}\n${canonical(bound)}`);
};

export const approvalInvalid = (why: string, cause?: unknown): AgentGateError =>
  new AgentGateError('APPROVAL_INVALID', `approval: ${why}`, { cause });

/** Who asked: the agent, and the person that it acts for where the session names one. */
export interface Requester {
  agent: string;
  person: string | undefined;
}
/** Whether somebody approved what they asked for themselves. */
export const isOwn = ({ by }: Pick<GrantClaims, 'by'>, { agent, person }: Requester): boolean =>
  by.includes(agent) || (person !== undefined && by.includes(person));

/**
 * Whether the approvals service took this approval for exactly this call, and it is good at `now` (milliseconds since the epoch).
 * Policy and the tool-runner both ask; neither believes the other. Throws APPROVAL_INVALID.
 */
export const checkGrant = (
  { claims, seal }: ApprovalGrant,
  {
    keys,
    call,
    binding,
    requester,
    now,
  }: { keys: KeyRing; call: string; binding: string; requester: Requester; now: number },
): GrantClaims => {
  const verdict = verifySeal({ domain: approvalDomain, lines: approvalLines, leaf: canonical(claims), seal, keys });
  if (!verdict.ok) throw approvalInvalid('the approvals service did not sign it', verdict);
  if (claims.call !== call) throw approvalInvalid('it was taken for another call');
  if (claims.binding !== binding) throw approvalInvalid('it is for another call');
  if (isOwn(claims, requester)) throw approvalInvalid('who asks does not approve');
  if (claims.expires_at <= now) throw approvalInvalid('it has expired');
  return claims;
};
