import { AgentGateError } from '@agentgate/contracts';
import type { Transport } from '@modelcontextprotocol/client';
import { createRefresher, pace, type RefresherOptions } from '../refresher.ts';
import type { Channel, ListedTool, Upstream } from '../upstream.ts';
import { type Handshake, type McpSession, openMcpSession } from './mcp-session.ts';

export interface McpUpstreamOptions {
  server: string;
  /** A transport that is not started yet; with a secret it carries that secret and serves one call. */
  transport(secret: string | undefined): Transport;
  /** Which handshake is tried first; the other one is next. */
  handshake: Handshake;
  now: () => number;
  log: {
    debug(fields: object, message: string): void;
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  pace?: Partial<Omit<RefresherOptions, 'refresh' | 'onFailure'>>;
}

/** A server that is started by npx may have to be fetched first. */
const handshakeMs = 30_000;
const listMs = 10_000;
/** Sessions that are open for one call each, because it brought its own credential. */
const maxPrivate = 64;

/** An MCP server: one session that all calls without a credential share, and one for each call with its own. */
export const createMcpUpstream = (opts: McpUpstreamOptions): Upstream => {
  const { server, log } = opts;
  const listeners: ((tools: ListedTool[]) => void)[] = [];
  let shared: McpSession | undefined;
  let why = 'it was not reached yet';
  let { handshake } = opts;
  let isClosed = false;
  let privates = 0;

  const open = (secret: string | undefined, timeoutMs: number, onClosed: () => void) =>
    openMcpSession({
      server,
      transport: opts.transport(secret),
      handshake,
      timeoutMs,
      now: opts.now,
      log,
      onClosed,
      onToolsChanged: () => refresher.soon(),
    });

  const connect = async (): Promise<McpSession> => {
    let session: McpSession | undefined;
    try {
      // It may close before it is open: then there is nothing to tell, the handshake fails by itself.
      session = await open(undefined, handshakeMs, () => {
        if (session === undefined || shared !== session) return;
        shared = undefined;
        why = 'the connection broke';
        if (!isClosed) log.warn({ server }, 'a tool server is gone');
        refresher.broke();
      });
      log.info({ server }, 'a tool server is connected');
      return session;
    } catch (error) {
      // A server that does not take the one may take the other.
      handshake = handshake === 'legacy' ? 'auto' : 'legacy';
      throw error;
    }
  };
  const refresh = async () => {
    shared ??= await connect();
    const session = shared;
    try {
      const tools = await session.list(listMs);
      for (const tell of listeners) tell(tools);
    } catch (error) {
      // A session that does not even list is of no use; a new one is.
      if (shared === session) shared = undefined;
      await session.close().catch(() => {});
      throw error;
    }
    if (isClosed) await session.close().catch(() => {});
  };
  const refresher = createRefresher({
    ...pace,
    ...opts.pace,
    refresh,
    onFailure: (error) => {
      why = error instanceof Error ? error.message.slice(0, 200) : 'it cannot be reached';
      log.warn({ server, why }, 'a tool server cannot be reached');
    },
  });
  const problem = () => (shared ? undefined : `${server} cannot be reached: ${why}`);

  const privately = async (secret: string, timeoutMs: number): Promise<Channel> => {
    if (privates >= maxPrivate)
      throw new AgentGateError('OVERLOADED', `${server} has ${maxPrivate} calls with credentials of their own running`);
    privates++;
    try {
      const session = await open(secret, Math.max(1, timeoutMs), () => {});
      return {
        send: session.send,
        release: () => {
          privates--;
          session.close().catch(() => {});
        },
      };
    } catch (cause) {
      privates--;
      // The cause may quote what the server says of the credential, so it is not repeated.
      throw new AgentGateError('UPSTREAM_UNAVAILABLE', `${server} did not take a session with the call's credential`, {
        cause,
      });
    }
  };

  return {
    server,
    problem,
    onTools: (tell) => void listeners.push(tell),
    prepare: async ({ secret, deadline }) => {
      if (secret !== undefined) return privately(secret, deadline - opts.now());
      const session = shared;
      if (!session) throw new AgentGateError('UPSTREAM_UNAVAILABLE', problem() ?? `${server} cannot be reached`);
      return { send: (call) => watched(session.send(call), () => refresher.soon()), release: () => {} };
    },
    start: () => refresher.start(),
    close: async () => {
      isClosed = true;
      refresher.stop();
      const session = shared;
      shared = undefined;
      await session?.close().catch(() => {});
    },
  };
};

/** A call that went astray may mean that the session is dead: HTTP does not say so by itself, listing finds out. */
const watched = (dispatch: ReturnType<McpSession['send']>, suspect: () => void) => {
  dispatch.ended.then((end) => {
    if (end.kind === 'not_sent' || end.kind === 'lost') suspect();
  }, suspect);
  return dispatch;
};
