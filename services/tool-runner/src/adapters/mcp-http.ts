import type { Server } from '@agentgate/contracts';
import { StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client';
import { headersOf } from '../credential.ts';
import type { Upstream } from '../upstream.ts';
import { createProofs, type Proofs } from './dpop-proofs.ts';
import { createMcpUpstream, type McpUpstreamOptions } from './mcp-upstream.ts';

export interface HttpOptions extends Pick<McpUpstreamOptions, 'listing' | 'now' | 'log' | 'pace'> {
  server: string;
  http: NonNullable<Server['http']>;
  inject: Server['inject'];
}

/** An answer above this breaks off. */
const maxAnswerBytes = 16 * 1024 * 1024;
const goodbyeMs = 500;

/** An MCP server over Streamable HTTP. A credential goes into the header of every request of the one call's own session, and nowhere else. */
export const createHttpUpstream = (opts: HttpOptions): Upstream => {
  const url = new URL(opts.http.url);
  const { inject } = opts;
  // Of the newer revision first: there a cancellation is the end of the call's own request, which reaches servers without sessions too.
  return createMcpUpstream({
    ...opts,
    handshake: 'auto',
    transport: (credential) =>
      createTransport(url, credential ? headersOf(inject, credential) : {}, credential && createProofs(credential)),
  });
};

const createTransport = (url: URL, headers: Record<string, string>, proofs: Proofs | undefined): Transport => {
  const transport = new StreamableHTTPClientTransport(url, {
    // A redirect could lead the credential elsewhere.
    requestInit: { headers, redirect: 'error' },
    fetch: async (target, init) =>
      bounded(await (proofs ? proofs.fetch(new URL(target), init) : fetch(target, init)), init?.method),
  });
  const close = transport.close.bind(transport);
  transport.close = async () => {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, goodbyeMs);
    });
    // The server may forget the session now, if it keeps any.
    await Promise.race([transport.terminateSession().catch(() => {}), tooLong]);
    clearTimeout(timer);
    await close();
  };
  // The class' optional members are declared so that exactOptionalPropertyTypes tells them from the interface's.
  return transport as Transport;
};

/** The stream of notifications (GET) is open as long as the session; every other answer has an end. */
const bounded = (response: Response, method: string | undefined): Response => {
  if (!response.body || method === 'GET') return response;
  let bytes = 0;
  const counted = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        bytes += chunk.byteLength;
        if (bytes > maxAnswerBytes) controller.error(new Error(`an answer is longer than ${maxAnswerBytes} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted, { status: response.status, statusText: response.statusText, headers: response.headers });
};
