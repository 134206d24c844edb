import { AgentGateError } from '@agentgate/contracts';

/** A bundle is not taken: `part` is its file, or `bundle` for the whole. */
export const refuse = (part: string, why: string, cause?: unknown): AgentGateError =>
  new AgentGateError('POLICY_INVALID', `${part}: ${why}`, { cause });
