import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { witnessOverHttp } from '../../src/adapters/witness-http.ts';

const serve = async (answer: RequestListener): Promise<string> => {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/`;
};

test('posts the body to add-checkpoint below the prefix, and tells status and body', async () => {
  const url = await serve(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    res.writeHead(409).end(`${req.method} ${req.url} ${body} ü`);
  });
  expect(await witnessOverHttp(url)('old 1\n')).toEqual({ status: 409, body: 'POST /prefix/add-checkpoint old 1\n ü' });
});

test('follows no redirect', async () => {
  const asked: (string | undefined)[] = [];
  const url = await serve((req, res) => {
    asked.push(req.url);
    res.writeHead(307, { location: '/elsewhere' }).end();
  });
  expect(await witnessOverHttp(url)('x')).toEqual({ status: 307, body: '' });
  expect(asked).toEqual(['/prefix/add-checkpoint']);
});

test('reads 65,536 bytes and no more', async () => {
  let bytes = 65_536;
  const ask = witnessOverHttp(await serve((_req, res) => res.end('x'.repeat(bytes))));
  expect((await ask('x')).body).toHaveLength(bytes);
  bytes++;
  await expect(ask('x')).rejects.toThrow(/^it answered more than 65536 bytes$/);
});

test('tells that a witness hangs, before its headers or after', async () => {
  let begins = false;
  const ask = witnessOverHttp(
    await serve((_req, res) => {
      if (begins) res.writeHead(200).write('half');
    }),
  );
  await expect(ask('x')).rejects.toThrow(/^it did not answer within 2000 ms$/);
  begins = true;
  await expect(ask('x')).rejects.toThrow(/^it did not answer within 2000 ms$/);
});

test('tells why a witness cannot be reached, and that it broke off', async () => {
  await expect(witnessOverHttp('http://127.0.0.1:1')('x')).rejects.toThrow(/^it cannot be reached: .*ECONNREFUSED/);
  const url = await serve((_req, res) => {
    res.writeHead(200, { 'content-length': 9 }).write('half');
    setTimeout(() => res.destroy(), 20);
  });
  await expect(witnessOverHttp(url)('x')).rejects.toThrow(/^it cannot be reached: aborted$/);
});
