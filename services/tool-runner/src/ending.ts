import { AgentGateError, type Code, killedCode, killedError } from '@agentgate/contracts';
import type { Ending } from './live-calls.ts';

// Why a call did not start, or was ended.

const codes = { cancelled: 'CANCELLED', timeout: 'TIMEOUT', stopping: 'RUNNER_UNAVAILABLE' } as const;
export const endingCode = (ending: Ending): Code =>
  ending.why === 'killed' ? killedCode(ending.scope) : codes[ending.why];

export const endingError = (ending: Ending): AgentGateError => {
  switch (ending.why) {
    case 'cancelled':
      return new AgentGateError(codes.cancelled, 'the call was cancelled before the tool was called');
    case 'timeout':
      return new AgentGateError(codes.timeout, 'the deadline passed before the tool was called');
    case 'killed':
      return killedError(ending);
    case 'stopping':
      return new AgentGateError(codes.stopping, 'the tool-runner is stopping');
    default:
      return ending satisfies never;
  }
};
