import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';

export interface Asked {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Answer =
  | { status: number; body?: string; headers?: Record<string, string> }
  /** Begins to answer and never ends; `hang` does not even begin. */
  | 'drip'
  | 'hang'
  | 'garbage'
  | 'hang up';

/** An HTTP server of this process that answers as `answer` says, and keeps what it was asked. */
export const startAnswering = async (answer: (asked: Asked) => Answer) => {
  const asked: Asked[] = [];
  const reply = async (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request;
    const one: Asked = { method, path: url, headers, body: await text(request) };
    asked.push(one);
    send(response, answer(one));
  };
  const server = createServer((request, response) => {
    reply(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
export type AnsweringServer = Awaited<ReturnType<typeof startAnswering>>;

const send = (response: ServerResponse, answer: Answer) => {
  switch (answer) {
    case 'hang':
      return;
    case 'drip':
      response.writeHead(200).write(' ');
      return;
    case 'hang up':
      response.destroy();
      return;
    case 'garbage':
      // Past the HTTP parser: what follows is part of no answer.
      response.socket?.end('HTTP/1.1 200 OK\r\nContent-Length: nonsense s3cret-in-garbage\r\n\r\ns3cret-in-garbage');
      return;
    default:
      response.writeHead(answer.status, answer.headers).end(answer.body);
  }
};

/** All of an error that any log could print, hidden fields and causes too. */
export const everythingOf = (error: unknown): string =>
  inspect(error, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null });

/** What `work` rejects with. */
export const rejectionOf = async (work: Promise<unknown>): Promise<unknown> => {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`it did not reject but gave ${inspect(outcome.value)}`);
  return outcome.error;
};
