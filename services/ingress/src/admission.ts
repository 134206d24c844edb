import { AgentGateError } from '@agentgate/contracts';

/** Bytes of calls that may be held at once: every service on the path holds them too, some twice. */
const maxBytes = 64 * 1024 * 1024;

/** Bounds what is in flight, calls that wait for another's reply included. Beyond it nothing queues: the agent is told to come again. */
export interface Admission {
  /** Takes a call inside the bound, or throws OVERLOADED. Whoever was admitted leaves, whatever becomes of the call. */
  admit(bytes: number): void;
  leave(bytes: number): void;
}

export const createAdmission = (maxCalls: number): Admission => {
  let calls = 0;
  let held = 0;
  return {
    admit: (bytes) => {
      if (calls >= maxCalls) throw new AgentGateError('OVERLOADED', `${maxCalls} calls are in flight`);
      if (held + bytes > maxBytes) throw new AgentGateError('OVERLOADED', `${maxBytes} bytes of calls are in flight`);
      calls++;
      held += bytes;
    },
    leave: (bytes) => {
      calls--;
      held -= bytes;
    },
  };
};
