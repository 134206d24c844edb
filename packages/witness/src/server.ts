import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { MAX_ADD_CHECKPOINT_BYTES } from '@agentgate/evidence';
import type { Answer, Witness } from './witness.ts';

interface HttpAnswer extends Omit<Answer, 'status'> {
  status: number;
  headers?: Record<string, string>;
}

export interface ServerOptions {
  witness: Witness;
  /** Who this is, for people. */
  describe: () => object;
  /** Hears of each request to add-checkpoint, once it is decided. */
  onAnswer: (answer: Answer) => void;
  /** The memory failed: nothing was signed. */
  onFailure: (error: unknown) => void;
}

const connections = 256;

/** C2SP tlog-witness over HTTP; and `GET /`, which says who this is. */
export const createWitnessServer = (options: ServerOptions): Server => {
  const server = createServer((req, res) => {
    route(req, options)
      .catch((error: unknown) => {
        options.onFailure(error);
        return text(503, 'the witness cannot remember what it would sign');
      })
      .then((answer) => send(res, answer))
      .catch(() => res.destroy());
  });
  server.maxConnections = connections;
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  return server;
};

const route = async (req: IncomingMessage, { witness, describe, onAnswer }: ServerOptions): Promise<HttpAnswer> => {
  const path = (req.url ?? '/').split('?')[0];
  if (path === '/' && (req.method === 'GET' || req.method === 'HEAD'))
    return { status: 200, type: 'application/json', body: `${JSON.stringify(describe())}\n` };
  if (path !== '/add-checkpoint') return text(404, 'not found');
  if (req.method !== 'POST') return { ...text(405, 'add-checkpoint is a POST'), headers: { allow: 'POST' } };
  const body = await readBody(req);
  if (!body) return text(413, `the request is more than ${MAX_ADD_CHECKPOINT_BYTES} bytes`);
  // From here on there is no await: checking and remembering are one step.
  const answer = witness.addCheckpoint(body);
  onAnswer(answer);
  return answer;
};

const text = (status: number, line: string): HttpAnswer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${line}\n`,
});

/** Undefined for one that is too large, of which no more than that is read. */
const readBody = async (req: IncomingMessage): Promise<Buffer | undefined> => {
  if (Number(req.headers['content-length']) > MAX_ADD_CHECKPOINT_BYTES) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ADD_CHECKPOINT_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const send = (res: ServerResponse, { status, type, body, headers }: HttpAnswer): void => {
  // What is left of a request that was not read would be taken for the next one.
  const close = res.req.complete ? {} : { connection: 'close' };
  res
    .writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff', ...headers, ...close })
    .end(res.req.method === 'HEAD' ? '' : body);
};
