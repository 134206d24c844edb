import http, { type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';

export interface Heard {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** A real server that takes alerts, and answers as a test wants it to. */
export interface Receiver {
  port: number;
  heard: Heard[];
  /** What it does with the next ones; without it, 204. */
  answer: (heard: Heard, res: ServerResponse) => void;
  close(): Promise<void>;
}

const read = async (req: IncomingMessage): Promise<Heard> => {
  let body = '';
  for await (const chunk of req) body += String(chunk);
  return { path: req.url ?? '', headers: req.headers as Record<string, string>, body };
};

export const startReceiver = async (tls?: { key: string; cert: string }): Promise<Receiver> => {
  const listen: RequestListener = (req, res) => {
    read(req)
      .then((heard) => {
        receiver.heard.push(heard);
        receiver.answer(heard, res);
      })
      .catch(() => res.destroy());
  };
  const server: Server = tls ? https.createServer(tls, listen) : http.createServer(listen);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const receiver: Receiver = {
    port: typeof address === 'object' && address ? address.port : 0,
    heard: [],
    answer: (_, res) => void res.writeHead(204).end(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
};
