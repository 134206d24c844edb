import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { openLogServer } from '../../src/evidence/log-server.ts';

let servers: Server[] = [];
const serve = async (listener: RequestListener): Promise<URL> => {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/logs/a`);
};
afterEach(() => {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
  servers = [];
});

test('reads below its own address, and says undefined of what is not there', async () => {
  const url = await serve((request, response) => {
    if (request.url === '/logs/a/tile/0/000') response.end('hashes');
    else response.writeHead(404).end('not here');
  });
  const read = openLogServer(url);
  expect(Buffer.from((await read('tile/0/000', 100)) ?? []).toString()).toBe('hashes');
  expect(await read('tile/0/001', 100)).toBeUndefined();
});

test('stops one byte after its bound, whatever a server goes on to send', async () => {
  let isCut = false;
  const url = await serve((_, response) => {
    const timer = setInterval(() => response.write(Buffer.alloc(65_536)), 1);
    response.once('close', () => {
      isCut = true;
      clearInterval(timer);
    });
  });
  expect((await openLogServer(url)('checkpoint', 1_000))?.length).toBe(1_001);
  await expect.poll(() => isCut).toBe(true);
});

test('counts what was compressed at its full length', async () => {
  const url = await serve((_, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10_000_000)));
  });
  expect((await openLogServer(url)('checkpoint', 1_000))?.length).toBe(1_001);
});

test.each<[string, RequestListener]>([
  ['never answers', () => undefined],
  ['never ends its answer', (_, response) => void response.writeHead(200).write('a')],
])('gives up on a server that %s', async (_, listener) => {
  const read = openLogServer(await serve(listener), { timeoutMs: 200 });
  await expect(read('checkpoint', 100)).rejects.toThrow(
    /^checkpoint cannot be read: http:\/\/127.0.0.1:\d+ did not finish within 0.2 s$/,
  );
});

test('follows no redirect', async () => {
  let asked = 0;
  const elsewhere = await serve((_, response) => {
    asked++;
    response.end('another log');
  });
  const url = await serve((_, response) => void response.writeHead(302, { location: elsewhere.href }).end());
  await expect(openLogServer(url, { retryMs: 1 })('checkpoint', 100)).rejects.toThrow('checkpoint cannot be read: ');
  expect(asked).toBe(0);
});

test('tries again where the server could not answer, thrice at most', async () => {
  let asked = 0;
  const url = await serve((_, response) => {
    asked++;
    if (asked < 3) response.writeHead(503).end();
    else response.end('a note');
  });
  const read = openLogServer(url, { retryMs: 1 });
  expect((await read('checkpoint', 100))?.length).toBe(6);
  asked = -1;
  await expect(read('checkpoint', 100)).rejects.toThrow(/ answered 503$/);
  expect(asked).toBe(2);
});

test('does not try again where the server refused', async () => {
  let asked = 0;
  const url = await serve((_, response) => {
    asked++;
    response.writeHead(403).end();
  });
  await expect(openLogServer(url)('checkpoint', 100)).rejects.toThrow(/ answered 403$/);
  expect(asked).toBe(1);
});
