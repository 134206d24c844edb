import { type AgentClient, AgentGateClientError, type ClientErrorCode } from '@agentgate/client';

/** The connections of those that called, one a token: whatever the edge asks of the gate it asks as the agent whose token it was given. */
export interface Connections {
  /**
   * Rejects CREDENTIALS_INVALID where it is no token of this deployment's or NATS refuses it, OVERLOADED where so many are open that another may not be, and
   * else as the client's `connect` does.
   */
  of(token: string): Promise<Connected>;
  /** Closes those that nobody used for a while. To be called now and then. */
  sweep(): void;
  readonly size: number;
  close(): Promise<void>;
}

/** An agent, as its token says and NATS believes. */
export interface Connected {
  /** The public key of its user. */
  user: string;
  client: AgentClient;
}

export interface ConnectionsOptions {
  /** Whose token it is, by its signature; undefined where it is none of this deployment's. Asked before anything is opened. */
  userOf: (token: string) => string | undefined;
  connect: (token: string) => Promise<AgentClient>;
  /** Milliseconds; never set back. */
  monotonic: () => number;
  max: number;
  /** Longer than the longest call. */
  idleMs: number;
  /** A token that was not taken is not tried again for so long. */
  refusedMs: number;
}

interface Entry {
  opened: Promise<Connected>;
  /** Once it is open. */
  client?: AgentClient;
  used: number;
}

const refuse = (code: ClientErrorCode, message: string) => Promise.reject(new AgentGateClientError(code, message));

export const createConnections = (options: ConnectionsOptions): Connections => {
  const { userOf, connect, monotonic, max, idleMs, refusedMs } = options;
  const entries = new Map<string, Entry>();
  const drop = (token: string, entry: Entry) => {
    if (entries.get(token) === entry) entries.delete(token);
    return entry.client?.close().catch(() => {});
  };
  const open = (token: string, user: string): Entry => {
    const entry: Entry = { opened: connect(token).then((client) => ({ user, client })), used: monotonic() };
    entry.opened.then(
      ({ client }) => {
        entry.client = client;
      },
      () => setTimeout(() => drop(token, entry), refusedMs).unref(),
    );
    return entry;
  };
  const sweep = () => {
    for (const [token, entry] of entries) if (monotonic() - entry.used > idleMs) void drop(token, entry);
  };
  return {
    of: (token) => {
      const known = entries.get(token);
      // Who lost its connection may have lost the right to one: it is asked for anew, which the server decides.
      if (known?.client?.connected() === false) void drop(token, known);
      else if (known) {
        known.used = monotonic();
        return known.opened;
      }
      const user = userOf(token);
      if (user === undefined) return refuse('CREDENTIALS_INVALID', 'this is no token of an agent of this gate');
      if (entries.size >= max) return refuse('OVERLOADED', `${max} agents are connected here, and no more may be`);
      const entry = open(token, user);
      entries.set(token, entry);
      return entry.opened;
    },
    sweep,
    get size() {
      return entries.size;
    },
    close: async () => {
      await Promise.all([...entries].map(([token, entry]) => drop(token, entry)));
    },
  };
};
