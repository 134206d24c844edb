import { AgentGateError, type Code } from '@agentgate/contracts';

/**
 * What a client cannot answer with a reply. `code` is of the protocol's closed list, or says that the gate was not reached:
 * `NOT_CONNECTED` (nothing was sent), `NO_ANSWER` (sent, and nothing came back), `CREDENTIALS_INVALID` (they cannot be read, or NATS does not take them).
 */
export type ClientErrorCode = Code | 'NOT_CONNECTED' | 'NO_ANSWER' | 'CREDENTIALS_INVALID';

export class AgentGateClientError extends Error {
  override readonly name = 'AgentGateClientError';
  readonly code: ClientErrorCode;
  constructor(code: ClientErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** An error of the bus as the client's own. `mayHaveRun` is about requests whose silence is not harmless. */
export const fromBus = (error: unknown, mayHaveRun: boolean): AgentGateClientError => {
  if (error instanceof AgentGateClientError) return error;
  const message = error instanceof AgentGateError ? error.message : 'the gate cannot be reached';
  const notSent = /not connected|is not running|cannot be reached$/.test(message);
  if (notSent) return new AgentGateClientError('NOT_CONNECTED', message, { cause: error });
  return new AgentGateClientError(mayHaveRun ? 'OUTCOME_UNKNOWN' : 'NO_ANSWER', message, { cause: error });
};
