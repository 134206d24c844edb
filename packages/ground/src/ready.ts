import { createConnection, createServer } from 'node:net';
import { GroundError } from './error.ts';

/** One exchange on a TCP port: resolves with what came until `enough` held, rejects when the time is over. */
const exchange = (opts: {
  host?: string;
  port: number;
  say?: string;
  enough: (heard: string) => boolean;
  timeoutMs: number;
}): Promise<string> =>
  new Promise((resolve, reject) => {
    let heard = '';
    const socket = createConnection({ host: opts.host ?? '127.0.0.1', port: opts.port });
    const timer = setTimeout(
      () => end(() => reject(new GroundError(`port ${opts.port} said nothing`))),
      opts.timeoutMs,
    );
    const end = (then: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      then();
    };
    socket.on('connect', () => void (opts.say === undefined || socket.write(opts.say)));
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('close', () => end(() => reject(new GroundError(`port ${opts.port} hung up`))));
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      if (opts.enough(heard)) end(() => resolve(heard));
    });
  });

const until = async (
  what: string,
  timeoutMs: number,
  gone: () => string | undefined,
  once: () => Promise<boolean>,
): Promise<void> => {
  const end = performance.now() + timeoutMs;
  for (;;) {
    if (await once().catch(() => false)) return;
    const why = gone();
    if (why !== undefined) throw new GroundError(`${what} ended: ${why}`);
    if (performance.now() > end) throw new GroundError(`${what} is not ready after ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};

/** Waits until nats-server greets. `gone` tells why it ended, where it did. */
export const natsReady = (
  port: number,
  opts: { timeoutMs: number; gone?: () => string | undefined; host?: string },
): Promise<void> =>
  until('nats-server', opts.timeoutMs, opts.gone ?? (() => undefined), async () =>
    (
      await exchange({
        port,
        ...(opts.host === undefined ? {} : { host: opts.host }),
        enough: (h) => h.includes('\r\n'),
        timeoutMs: 1_000,
      })
    ).startsWith('INFO '),
  );

/** Waits until Redis answers a user's PING, which it does not while it loads. */
export const redisReady = (
  url: string,
  opts: { timeoutMs: number; gone?: () => string | undefined },
): Promise<void> => {
  const { port, username, password } = new URL(url);
  return until('Redis', opts.timeoutMs, opts.gone ?? (() => undefined), async () => {
    const heard = await exchange({
      port: Number(port),
      say: `AUTH ${username} ${password}\r\nPING\r\n`,
      enough: (h) => h.split('\r\n').length > 2,
      timeoutMs: 1_000,
    });
    return heard.includes('+PONG');
  });
};

/** Whether nobody listens on a port of loopback. */
export const portIsFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
