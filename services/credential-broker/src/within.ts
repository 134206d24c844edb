import { AgentGateError } from '@agentgate/contracts';

/** Waits for a provider at most so long. Rejects CREDENTIAL_UNAVAILABLE after it; `what` says what did not happen. */
export const within = async <T>(ms: number, work: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AgentGateError('CREDENTIAL_UNAVAILABLE', `${what} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
