import {
  Client,
  type JSONRPCMessage,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  type Transport,
} from '@modelcontextprotocol/client';
import type { Dispatch, ListedTool, UpstreamCall, UpstreamEnd } from '../upstream.ts';

/** The handshake: `legacy` is `initialize`, which nearly every server speaks; `auto` also finds servers of revision 2026-07-28 alone. */
export type Handshake = 'legacy' | 'auto';

export interface McpSessionOptions {
  server: string;
  transport: Transport;
  handshake: Handshake;
  /** The transport carries a credential. */
  isPrivate: boolean;
  /** For the handshake. */
  timeoutMs: number;
  now: () => number;
  onToolsChanged(): void;
  /** The session is over, from whichever side. */
  onClosed(): void;
  log: { debug(fields: object, message: string): void };
}

/** One MCP client on one transport. */
export interface McpSession {
  list(timeoutMs: number): Promise<ListedTool[]>;
  send(call: UpstreamCall): Dispatch;
  close(): Promise<void>;
}

/** The runner's own deadline comes first; this one only keeps the client from forgetting a call too early. */
const clientGraceMs = 5_000;

export const openMcpSession = async (opts: McpSessionOptions): Promise<McpSession> => {
  const { server, log } = opts;
  const wire = tap(opts.transport);
  const client = new Client(
    { name: 'agentgate', version: '0.1.0' },
    {
      capabilities: {},
      versionNegotiation: { mode: opts.handshake, probe: { timeoutMs: Math.min(2_000, opts.timeoutMs) } },
      // A tool that asks for more in the middle of a call asks for something that policy did not see.
      inputRequired: { autoFulfill: false },
      // At once: a server that goes on telling would otherwise put it off for ever.
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => opts.onToolsChanged() } },
    },
  );
  // The client's errors quote the server's answers, also cut: where there is a credential, what they say stays here.
  client.onerror = (error) =>
    log.debug(
      opts.isPrivate ? { server, error: error.name } : { server, err: error },
      'the MCP client reports an error',
    );
  client.onclose = () => opts.onClosed();
  try {
    await client.connect(opts.transport, { timeout: opts.timeoutMs });
  } catch (error) {
    await client.close().catch(() => {});
    throw error;
  }
  return {
    list: async (timeoutMs) => {
      const { tools } = await client.listTools(undefined, { timeout: timeoutMs, cacheMode: 'refresh' });
      return tools.map((tool) => ({
        name: tool.name,
        description: tool.description ?? tool.title ?? '',
        inputSchema: { ...tool.inputSchema },
        annotations: { ...tool.annotations },
      }));
    },
    send: (call) => send(client, wire, call, opts.now()),
    close: () => client.close(),
  };
};

const send = (client: Client, wire: Tap, call: UpstreamCall, now: number): Dispatch => {
  const abort = new AbortController();
  const timeout = Math.max(1, call.deadline - now) + clientGraceMs;
  const { result, id } = wire.watching(() =>
    client.request(
      {
        method: 'tools/call',
        params: { name: call.tool, arguments: call.arguments, ...(call.meta && { _meta: call.meta }) },
      },
      { signal: abort.signal, timeout },
    ),
  );
  const ended = result.then(
    (value): UpstreamEnd => ({ kind: 'result', result: value }),
    (error: unknown) => (id === undefined ? notSent('the connection to the tool server is closed') : endOf(error)),
  );
  /** Where each request is a stream of its own, closing it is how the protocol cancels. */
  const hasOwnStream = wire.transport.hasPerRequestStream === true && client.getProtocolEra() === 'modern';
  return {
    ended,
    stop: (reason) => {
      if (id === undefined) return;
      if (hasOwnStream) return abort.abort(new Error(reason));
      client.notification({ method: 'notifications/cancelled', params: { requestId: id, reason } }).catch(() => {});
      wire.cancelled.add(id);
    },
    abandon: () => {
      // The client would tell the server a second time.
      abort.abort(new Error('abandoned'));
      if (id !== undefined) wire.cancelled.delete(id);
    },
  };
};

const notSent = (reason: string): UpstreamEnd => ({ kind: 'not_sent', code: 'UPSTREAM_UNAVAILABLE', reason });

/** What an error of the client tells about the call. In doubt the call may have run. */
const endOf = (error: unknown): UpstreamEnd => {
  if (error instanceof ProtocolError) return { kind: 'error', reason: `the tool server refused: ${error.message}` };
  if (error instanceof SdkHttpError) {
    const { status } = error;
    if (status !== undefined && status >= 400 && status < 500)
      return notSent(`the tool server answered HTTP ${status}`);
    return {
      kind: 'lost',
      reason: `the tool server answered HTTP ${status ?? 'with an error'}; it may have run the call`,
    };
  }
  if (error instanceof SdkError) {
    if (error.code === SdkErrorCode.InvalidResult)
      return { kind: 'error', reason: 'the tool answered with something that is no MCP result' };
    if (error.code === SdkErrorCode.UnsupportedResultType)
      return { kind: 'error', reason: 'the tool asks for input in the middle of a call' };
    if (error.code === SdkErrorCode.NotConnected) return notSent('the connection to the tool server is closed');
    return { kind: 'lost', reason: 'the connection to the tool server broke; it may have run the call' };
  }
  return wasNeverConnected(error)
    ? notSent('the tool server cannot be reached')
    : { kind: 'lost', reason: 'the tool server did not answer in form; it may have run the call' };
};

/** The server wants other credentials than it got: it would with every handshake. */
export const isUnwelcome = (error: unknown): boolean =>
  error instanceof SdkHttpError && (error.status === 401 || error.status === 403);

/** Why there is no session, in words of our own: the server's may quote what it was sent. */
export const whyNotOpened = (error: unknown): string => {
  if (error instanceof SdkHttpError && error.status !== undefined) return `it answered HTTP ${error.status}`;
  if (wasNeverConnected(error)) return 'it cannot be reached';
  if (error instanceof SdkError) return `the client says ${error.code}`;
  return 'it did not answer in form';
};

const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const wasNeverConnected = (error: unknown): boolean => {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e instanceof AggregateError && e.errors.some(wasNeverConnected)) return true;
    if ('code' in e && typeof e.code === 'string' && neverConnected.has(e.code)) return true;
  }
  return false;
};

interface Tap {
  transport: Transport;
  /** Requests whose cancellation the server has heard already. */
  cancelled: Set<string | number>;
  /** Runs `ask`, and tells the id of the request that it sent before it returned. */
  watching<T>(ask: () => Promise<T>): { result: Promise<T>; id: string | number | undefined };
}

/** The client tells nobody the ids of its requests, and forgets a request that it cancels: late answers count, so we cancel ourselves. */
const tap = (transport: Transport): Tap => {
  const cancelled = new Set<string | number>();
  let sent: string | number | undefined;
  const forward = transport.send.bind(transport);
  transport.send = (message, options) => {
    if ('method' in message && 'id' in message) sent = message.id;
    return isCancellationOf(message, cancelled) ? Promise.resolve() : forward(message, options);
  };
  return {
    transport,
    cancelled,
    watching: (ask) => {
      sent = undefined;
      const result = ask();
      return { result, id: sent };
    },
  };
};

const isCancellationOf = (message: JSONRPCMessage, requests: ReadonlySet<string | number>): boolean => {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return false;
  const id = (message.params as { requestId?: string | number } | undefined)?.requestId;
  return id !== undefined && requests.has(id);
};
