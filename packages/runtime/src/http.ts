import type { Server } from 'node:http';
import type { Registry } from 'prom-client';
import { http, listenOn } from './node-http.ts';

export interface HttpAnswer {
  status: number;
  type: string;
  body: string | Uint8Array;
  /** Cache-Control; by default nothing is kept. */
  cache?: string;
}
export interface HttpSurface {
  route(path: string, answer: () => HttpAnswer | Promise<HttpAnswer>): void;
  /** All paths under a prefix that ends in a slash, each as it was sent, without its query; undefined is not found. */
  routesUnder(prefix: string, answer: (rest: string) => Promise<HttpAnswer | undefined>): void;
  listen(host: string, port: number): Promise<number>;
  close(): Promise<void>;
}

/** A check tells `true`, or why the service is not ready. */
export interface Health {
  check(name: string, test: () => true | string): void;
  problems(): string[];
}

export const createHealth = (): Health => {
  const checks = new Map<string, () => true | string>();
  return {
    check: (name, test) => void checks.set(name, test),
    problems: () =>
      [...checks].flatMap(([name, test]) => {
        const answer = test();
        return answer === true ? [] : [`${name}: ${answer}`];
      }),
  };
};

/** `/healthz` (the process runs), `/readyz` (it can do its job, or why not), `/metrics`, and what a service adds. */
export const createHttp = (registry: Registry, health: Health, about: () => object): HttpSurface => {
  const json = (status: number, body: object): HttpAnswer => ({
    status,
    type: 'application/json',
    body: `${JSON.stringify(body)}\n`,
  });
  const routes = new Map<string, () => HttpAnswer | Promise<HttpAnswer>>([
    ['/healthz', () => json(200, { status: 'ok', ...about() })],
    [
      '/readyz',
      () => {
        const problems = health.problems();
        return json(problems.length === 0 ? 200 : 503, {
          status: problems.length === 0 ? 'ready' : 'not ready',
          problems,
          ...about(),
        });
      },
    ],
    ['/metrics', async () => ({ status: 200, type: registry.contentType, body: await registry.metrics() })],
  ]);
  const prefixes = new Map<string, (rest: string) => Promise<HttpAnswer | undefined>>();
  const answer = async (path: string): Promise<HttpAnswer | undefined> => {
    const route = routes.get(path);
    if (route) return route();
    for (const [prefix, under] of prefixes) if (path.startsWith(prefix)) return under(path.slice(prefix.length));
    return undefined;
  };
  const server: Server = http.createServer((req, res) => {
    const isRead = req.method === 'GET' || req.method === 'HEAD';
    Promise.resolve(isRead ? answer((req.url ?? '/').split('?')[0] ?? '/') : undefined)
      .then((found) => found ?? json(404, { error: 'not found' }))
      .catch(() => json(500, { error: 'internal error' }))
      .then(({ status, type, body, cache = 'no-store' }) =>
        res
          .writeHead(status, {
            'content-type': type,
            'content-length': Buffer.byteLength(body),
            'cache-control': cache,
            'x-content-type-options': 'nosniff',
          })
          .end(req.method === 'HEAD' ? '' : body),
      )
      .catch(() => res.destroy());
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  return {
    route: (path, answer) => void routes.set(path, answer),
    routesUnder: (prefix, answer) => void prefixes.set(prefix, answer),
    listen: (host, port) => listenOn(server, host, port),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
