import type { Code } from './codes.ts';

/**
 * An operating failure: something outside did not do its part, or input was refused. Ingress turns each into a denial.
 * `code` is of the public closed list; `message` names the part or the field and never holds a secret.
 */
export class AgentGateError extends Error {
  override readonly name = 'AgentGateError';
  readonly code: Code;
  constructor(code: Code, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** What may be told of an unknown error outside the service: nothing but that there was one. */
export const toAgentGateError = (error: unknown): AgentGateError =>
  error instanceof AgentGateError ? error : new AgentGateError('INTERNAL', 'internal error', { cause: error });
