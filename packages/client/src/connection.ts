import { randomUUID } from 'node:crypto';
import { areRefused, type Bus, connectBus } from '@agentgate/bus';
import { readCredentials } from './credentials.ts';
import { AgentGateClientError } from './error.ts';

export interface ConnectOptions {
  /** nats://host:port */
  servers: string;
  /** The text of a credentials file, or a bearer token, or the path of either. */
  creds: string;
}

/** Connects as whoever the credentials are of. Rejects CREDENTIALS_INVALID where they cannot be read or NATS does not take them, else NOT_CONNECTED. */
export const connectAs = async (
  { servers, creds }: ConnectOptions,
  purpose: 'client' | 'tools',
): Promise<{ bus: Bus; name: string }> => {
  const { text, name } = readCredentials(creds);
  try {
    const instance = `${purpose}-${randomUUID().slice(0, 8)}`;
    return { bus: await connectBus({ servers, creds: text, user: name, instance }), name };
  } catch (cause) {
    if (areRefused(cause))
      throw new AgentGateClientError('CREDENTIALS_INVALID', `${servers} does not take ${name}'s credentials`, {
        cause,
      });
    throw new AgentGateClientError('NOT_CONNECTED', `${servers} cannot be reached`, { cause });
  }
};
