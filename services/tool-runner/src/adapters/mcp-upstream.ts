import { AgentGateError, type Server } from '@agentgate/contracts';
import type { Transport } from '@modelcontextprotocol/client';
import { type Credential, metaOf } from '../credential.ts';
import { redact } from '../redaction.ts';
import { createRefresher, pace, type RefresherOptions } from '../refresher.ts';
import type { Channel, LeasedCredential, ListedTool, Listing, Upstream } from '../upstream.ts';
import { type Handshake, isUnwelcome, type McpSession, openMcpSession, whyNotOpened } from './mcp-session.ts';

export interface McpUpstreamOptions {
  server: string;
  inject: Server['inject'];
  /** A transport that is not started yet; with a credential it carries it and serves one call, or one lease. */
  transport(credential: Credential | undefined): Transport;
  /** Where the server tells its tools to nobody without a credential. */
  listing?: Listing | undefined;
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
/** A list that takes a lease is not read more often, whatever the server says of its tools. */
const apartMs = 5_000;
/** Sessions that are open for one call or one lease each, because it brought its own credential. */
const maxPrivate = 64;

/**
 * An MCP server: one session that all calls without a credential share, and one for each call, or each lease, with its own. Where the server
 * tells its tools only to who has a credential, nothing is shared: each list has a lease and a session of its own, too.
 */
export const createMcpUpstream = (opts: McpUpstreamOptions): Upstream => {
  const { server, log } = opts;
  const listeners: ((tools: ListedTool[]) => void)[] = [];
  let shared: McpSession | undefined;
  let why = 'it was not reached yet';
  let { handshake } = opts;
  let isClosed = false;
  /** Where nothing is shared: the last list was read. */
  let isListed = false;
  let privates = 0;
  /** How often it told that its tools changed; and, since it did, who waits for the new list. */
  let told = 0;
  let relisting: PromiseWithResolvers<void> | undefined;

  /** By lease: what is kept for the next call of the same session. */
  const kept = new Map<string, Promise<McpSession>>();

  const open = (
    credential: Credential | undefined,
    timeoutMs: number,
    onClosed: () => void,
    onToolsChanged = () => refresher.soon(),
  ) =>
    openMcpSession({
      server,
      transport: opts.transport(credential),
      handshake,
      isPrivate: credential !== undefined,
      timeoutMs,
      now: opts.now,
      log,
      onClosed,
      onToolsChanged,
    });

  const connect = async (): Promise<McpSession> => {
    let session: McpSession | undefined;
    try {
      // It may close before it is open: then there is nothing to tell, the handshake fails by itself.
      const onClosed = () => {
        if (session === undefined || shared !== session) return;
        shared = undefined;
        why = 'the connection broke';
        if (!isClosed) log.warn({ server }, 'a tool server is gone');
        refresher.broke();
      };
      session = await open(undefined, handshakeMs, onClosed, () => {
        told++;
        relisting ??= Promise.withResolvers<void>();
        refresher.soon();
      });
      log.info({ server }, 'a tool server is connected');
      return session;
    } catch (error) {
      // A server that does not take the one may take the other.
      handshake = other(handshake);
      throw error;
    }
  };
  /** What the server says of its tools may quote the credential: it is taken out before anybody sees it. */
  const listApart = async (listing: Listing): Promise<ListedTool[]> => {
    const leased = await listing.lease();
    const { lease, credential } = leased;
    let session: McpSession | undefined;
    try {
      const opening = open(
        credential,
        handshakeMs,
        () => kept.delete(lease),
        // It is being listed: a server that says so whenever it starts would be listed for ever.
        () => {},
      );
      kept.set(lease, opening);
      session = await opening;
      return redact(await session.list(listMs), credential.hidden).value;
    } catch (error) {
      if (session === undefined && !isUnwelcome(error)) handshake = other(handshake);
      throw new Error(`it did not tell its tools to who has the credential of list_with: ${whyNotOpened(error)}`);
    } finally {
      kept.delete(lease);
      // The session first: a server that looks at its credential may still be told goodbye.
      await session?.close().catch(() => {});
      listing.release(leased);
    }
  };
  const refreshApart = async (listing: Listing) => {
    try {
      const tools = await listApart(listing);
      if (isClosed) return;
      if (!isListed) log.info({ server }, 'a tool server is connected');
      isListed = true;
      for (const tell of listeners) tell(tools);
    } catch (error) {
      isListed = false;
      throw error;
    }
  };
  const refresh = async () => {
    if (opts.listing) return refreshApart(opts.listing);
    shared ??= await connect();
    const session = shared;
    try {
      const toldBefore = told;
      const tools = await session.list(listMs);
      for (const tell of listeners) tell(tools);
      // Told meanwhile, the list may be the old one still: it is asked for once more.
      if (toldBefore === told) {
        relisting?.resolve();
        relisting = undefined;
      }
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
    ...(opts.listing && { soonMs: apartMs }),
    ...opts.pace,
    refresh,
    onFailure: (error) => {
      why = reasonOf(error);
      log.warn({ server, why }, 'a tool server cannot be reached');
    },
  });
  /** Whoever has to mend it reads this; a server that is listed with a credential has said nothing that stands here. */
  const reasonOf = (error: unknown): string => {
    if (isUnwelcome(error) && opts.inject)
      return `${whyNotOpened(error)} to who brings no credential: list_with names one to list its tools with`;
    return error instanceof Error ? error.message.slice(0, 200) : 'it cannot be reached';
  };
  const problem = () => (shared || isListed ? undefined : `${server} cannot be reached: ${why}`);

  const openOwn = async (credential: Credential, timeoutMs: number, onOver: () => void): Promise<McpSession> => {
    if (privates >= maxPrivate)
      throw new AgentGateError('OVERLOADED', `${server} has ${maxPrivate} sessions with credentials of their own open`);
    privates++;
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      privates--;
      onOver();
    };
    try {
      const session = await open(credential, Math.max(1, timeoutMs), over);
      return {
        ...session,
        close: async () => {
          over();
          await session.close();
        },
      };
    } catch (cause) {
      over();
      // The cause may quote what the server says of the credential, so it is not repeated.
      throw new AgentGateError('UPSTREAM_UNAVAILABLE', `${server} did not take a session with the call's credential`, {
        cause,
      });
    }
  };
  const forget = (lease: string) => {
    const session = kept.get(lease);
    kept.delete(lease);
    session?.then((s) => s.close()).catch(() => {});
  };
  const privately = async ({ lease, credential, reuse }: LeasedCredential, timeoutMs: number): Promise<Channel> => {
    if (!reuse) {
      const session = await openOwn(credential, timeoutMs, () => {});
      return { send: session.send, release: () => void session.close().catch(() => {}) };
    }
    const opening = kept.get(lease) ?? openOwn(credential, timeoutMs, () => kept.delete(lease));
    kept.set(lease, opening);
    try {
      const session = await opening;
      return { send: session.send, release: () => {} };
    } catch (error) {
      kept.delete(lease);
      throw error;
    }
  };
  const together = (meta: Record<string, string> | undefined): Channel => {
    const session = shared;
    if (!session) throw new AgentGateError('UPSTREAM_UNAVAILABLE', problem() ?? `${server} cannot be reached`);
    return {
      send: (call) => watched(session.send(meta ? { ...call, meta } : call), () => refresher.soon()),
      release: () => {},
    };
  };

  return {
    server,
    problem,
    relisting: () => relisting?.promise,
    onTools: (tell) => void listeners.push(tell),
    prepare: async ({ leased, deadline }) => {
      if (!leased) return together(undefined);
      const meta = metaOf(opts.inject, leased.credential);
      return meta ? together(meta) : privately(leased, deadline - opts.now());
    },
    forget,
    start: () => refresher.start(),
    close: async () => {
      isClosed = true;
      refresher.stop();
      const session = shared;
      shared = undefined;
      isListed = false;
      for (const lease of [...kept.keys()]) forget(lease);
      await session?.close().catch(() => {});
    },
  };
};

const other = (handshake: Handshake): Handshake => (handshake === 'legacy' ? 'auto' : 'legacy');

/** A call that went astray may mean that the session is dead: HTTP does not say so by itself, listing finds out. */
const watched = (dispatch: ReturnType<McpSession['send']>, suspect: () => void) => {
  dispatch.ended.then((end) => {
    if (end.kind === 'not_sent' || end.kind === 'lost') suspect();
  }, suspect);
  return dispatch;
};
