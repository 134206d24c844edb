import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { AgentGateClientError } from '@agentgate/client';
import { AgentGateError, limits, parseStrict } from '@agentgate/contracts';
import { http, listenOn } from '@agentgate/runtime';
import { getRequestListener, RequestError } from '@hono/node-server';
import {
  type AuthInfo,
  bearerAuthChallengeResponse,
  createMcpHandler,
  hostHeaderValidationResponse,
  INTERNAL_ERROR,
  INVALID_REQUEST,
  OAuthError,
  OAuthErrorCode,
  originValidationResponse,
  PARSE_ERROR,
  verifyBearerToken,
} from '@modelcontextprotocol/server';
import { createBodies, TooLarge, TooMany } from './bodies.ts';
import { createCancellations } from './cancellations.ts';
import type { Connected } from './connections.ts';
import { callerIn, createMcpServer, type McpCaller, withCaller } from './mcp-server.ts';
import type { McpEdge } from './service.ts';

export interface McpHttpOptions {
  edge: McpEdge;
  /** Connects as the agent. Rejects CREDENTIALS_INVALID where it is no token of one. */
  connect: (token: string) => Promise<Connected>;
  /** Those in `Host` and `Origin` that are ours, without ports. */
  hostnames: readonly string[];
  version: string;
  onAnswer: (status: number) => void;
  /** A fault, of ours or of the SDK's. */
  onError: (error: unknown) => void;
}

export interface McpHttp {
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>;
  /** Takes nothing new and waits for what runs, at most so long. */
  close(timeoutMs: number): Promise<void>;
}

export const mcpPath = '/mcp';
/** Not MCP's: the words of the agent's user, percent-encoded UTF-8, which policy may compare arguments with. */
const purposeHeader = 'agentgate-purpose';
const sessionHeader = 'mcp-session-id';

/** Around the arguments of a call stand a few fields of JSON-RPC and MCP, and one level more than in the gate's own message. */
const bounds = { bytes: limits.messageBytes + 16 * 1024, depth: limits.depth + 1 };
/** A purpose, percent-encoded, beside a token and what else a client sends. */
const headerBytes = 3 * limits.purposeLength + 16 * 1024;
const maxConnections = 2_048;
/** No status of HTTP's: the SDK counts by it, too. */
const clientLeft = 499;
const later = { 'retry-after': '2' };

/** MCP over Streamable HTTP: revision 2026-07-28, and the older ones without sessions of their own. */
export const createMcpHttp = (options: McpHttpOptions): McpHttp => {
  const { edge, hostnames, version, onAnswer, onError } = options;
  const allowed = [...hostnames];
  const bodies = createBodies({ maxBytes: bounds.bytes, maxHeldBytes: 64 * bounds.bytes });
  const cancellations = createCancellations();
  const handler = createMcpHandler((request) => createMcpServer({ edge, cancellations, version }, callerIn(request)), {
    onerror: onError,
  });
  const hearCancellation = ({ user, mcpSession }: McpCaller, { method, params }: Record<string, unknown>) => {
    if (method !== 'notifications/cancelled' || mcpSession === undefined) return;
    cancellations.cancel({ user, mcpSession, id: (params as { requestId?: unknown } | null | undefined)?.requestId });
  };
  const answer = async (request: Request): Promise<Response> => {
    const misled = hostHeaderValidationResponse(request, allowed) ?? originValidationResponse(request, allowed);
    if (misled) return misled;
    if (new URL(request.url).pathname !== mcpPath)
      return problem(404, INVALID_REQUEST, `there is only ${mcpPath} here`);
    try {
      const authInfo = await authenticate(request, options);
      const caller = callerIn({ authInfo });
      const parsedBody =
        request.method === 'POST' ? parseStrict(await bodies.read(caller.user, request.body), bounds) : undefined;
      if (parsedBody) hearCancellation(caller, parsedBody);
      const response = await handler.fetch(request, { authInfo, ...(parsedBody && { parsedBody }) });
      // Holds nothing and opens nothing: it tells the ids of one client from those of another.
      if (parsedBody?.method === 'initialize' && response.ok) response.headers.set(sessionHeader, randomUUID());
      return response;
    } catch (error) {
      // Nobody hears it.
      if (request.signal.aborted) return new Response(null, { status: clientLeft });
      return refusal(error);
    }
  };
  const fetch = async (request: Request): Promise<Response> => {
    const response = await answer(request);
    onAnswer(response.status);
    return response;
  };
  const errorHandler = (error: unknown) => {
    if (error instanceof RequestError) return problem(400, INVALID_REQUEST, error.message);
    onError(error);
    return problem(500, INTERNAL_ERROR, 'internal error');
  };
  const server: Server = http.createServer(
    // Who begins a request and does not end it is let go soon after its time: Node looks each 30 s if it is not told to.
    { maxHeaderSize: headerBytes, connectionsCheckingInterval: 2_000 },
    getRequestListener(fetch, { errorHandler, overrideGlobalObjects: false }),
  );
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  server.maxConnections = maxConnections;
  return {
    listen: (host, port) => listenOn(server, host, port),
    close: async (timeoutMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const tooLong = setTimeout(() => server.closeAllConnections(), timeoutMs);
      await closed;
      clearTimeout(tooLong);
      await handler.close();
    },
  };
};

/** Not for the agent to mend: the gate cannot be reached, or is full. */
class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** Who asks, for the SDK to hand on; not the token, which nobody behind this needs. */
const authenticate = (request: Request, { connect }: McpHttpOptions): Promise<AuthInfo> => {
  const verifyAccessToken = async (token: string): Promise<AuthInfo> => {
    const connected = await connect(token).catch((error: unknown) => {
      if (!(error instanceof AgentGateClientError)) throw error;
      const { code, message } = error;
      if (code === 'CREDENTIALS_INVALID') throw new OAuthError(OAuthErrorCode.InvalidToken, message);
      throw new Unavailable(message, { cause: error });
    });
    const mcpSession = request.headers.get(sessionHeader) ?? undefined;
    const extra = withCaller({ ...connected, purpose: purposeIn(request), mcpSession });
    // How long it is good NATS knows, which ends the connection.
    return { token: '', clientId: connected.client.name, scopes: [], expiresAt: Number.MAX_SAFE_INTEGER, extra };
  };
  return verifyBearerToken(request.headers.get('authorization') ?? '', { verifier: { verifyAccessToken } });
};

const purposeIn = (request: Request): string | undefined => {
  const text = request.headers.get(purposeHeader);
  if (text === null) return undefined;
  try {
    const purpose = decodeURIComponent(text);
    if (purpose.length <= limits.purposeLength) return purpose;
  } catch (cause) {
    throw new AgentGateError('FIELD_INVALID', `${purposeHeader}: must be percent-encoded UTF-8`, { cause });
  }
  throw new AgentGateError('FIELD_INVALID', `${purposeHeader}: at most ${limits.purposeLength} characters`);
};

const refusal = (error: unknown): Response => {
  if (error instanceof Unavailable) return problem(503, INVALID_REQUEST, `unavailable: ${error.message}`, later);
  if (error instanceof AgentGateError)
    return problem(400, error.code === 'MALFORMED' ? PARSE_ERROR : INVALID_REQUEST, error.message);
  // What is left of the body nobody reads.
  if (error instanceof TooLarge) return problem(413, INVALID_REQUEST, error.message, { connection: 'close' });
  if (error instanceof TooMany) return problem(429, INVALID_REQUEST, error.message, { ...later, connection: 'close' });
  if (error instanceof OAuthError) return bearerAuthChallengeResponse(error);
  throw error;
};

const problem = (status: number, code: number, message: string, headers: Record<string, string> = {}): Response =>
  Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status, headers });
