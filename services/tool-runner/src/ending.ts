import { AgentGateError, killedError } from '@agentgate/contracts';
import type { Ending } from './live-calls.ts';

// Why a call did not start, or was ended.

export const endingError = (ending: Ending): AgentGateError => {
  switch (ending.why) {
    case 'cancelled':
      return new AgentGateError('CANCELLED', 'the call was cancelled before the tool was called');
    case 'timeout':
      return new AgentGateError('TIMEOUT', 'the deadline passed before the tool was called');
    case 'killed':
      return killedError(ending);
    case 'stopping':
      return new AgentGateError('RUNNER_UNAVAILABLE', 'the tool-runner is stopping');
    default:
      return ending satisfies never;
  }
};
