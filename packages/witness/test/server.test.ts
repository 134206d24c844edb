import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { MAX_ADD_CHECKPOINT_BYTES } from '@agentgate/evidence';
import { afterEach, expect, test } from 'vitest';
import { createWitnessServer } from '../src/server.ts';
import type { Answer } from '../src/witness.ts';

let close = async () => {};
afterEach(() => close());

const serve = async (addCheckpoint: (body: Uint8Array) => Answer) => {
  const failures: unknown[] = [];
  const server = createWitnessServer({
    witness: { addCheckpoint },
    describe: () => ({ witness: 'w' }),
    onAnswer: () => {},
    onFailure: (error) => failures.push(error),
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  close = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, failures };
};
const ok: Answer = { status: 200, type: 'text/plain; charset=utf-8', body: 'signed\n' };

test('hands the body on as it came, and answers with status, type and body', async () => {
  const bodies: string[] = [];
  const { url } = await serve((body) => {
    bodies.push(Buffer.from(body).toString());
    return { status: 409, type: 'text/x.tlog.size', body: '7\n' };
  });
  const answer = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'old 0\n\n…' });
  expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
    409,
    'text/x.tlog.size',
    '7\n',
  ]);
  expect(bodies).toEqual(['old 0\n\n…']);
});

test.each([
  ['GET', '/', 200],
  ['GET', '/add-checkpoint', 405],
  ['PUT', '/add-checkpoint', 405],
  ['POST', '/', 404],
  ['GET', '/key.seed', 404],
  ['POST', '/add-checkpoint/', 404],
])('%s %s is %i', async (method, path, status) => {
  const { url } = await serve(() => expect.fail('was asked'));
  const answer = await fetch(url + path, { method });
  expect(answer.status).toBe(status);
  await answer.text();
});

test.each([
  ['said', true],
  ['sent in pieces', false],
])('refuses what is too large, %s, and goes on', async (_, isSaid) => {
  let asked = 0;
  const { url, port } = await serve(() => {
    asked++;
    return ok;
  });
  const size = MAX_ADD_CHECKPOINT_BYTES + 1;
  const agent = new Agent();
  const status = await new Promise<number>((resolve, reject) => {
    const headers = isSaid ? { 'content-length': size } : { 'transfer-encoding': 'chunked' };
    const req = httpRequest({ port, agent, method: 'POST', path: '/add-checkpoint', headers }, (res) => {
      res.resume();
      resolve(res.statusCode ?? 0);
    });
    req.on('error', reject);
    req.end(Buffer.alloc(size));
  });
  agent.destroy();
  expect([status, asked]).toEqual([413, 0]);
  expect((await fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'x' })).status).toBe(200);
});

test('answers 503 without a signature while it cannot remember, and goes on after', async () => {
  let fails = true;
  const { url, failures } = await serve(() => {
    if (fails) throw new Error('ENOSPC');
    return ok;
  });
  const ask = () => fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'x' });
  const answer = await ask();
  expect([answer.status, await answer.text()]).toEqual([503, 'the witness cannot remember what it would sign\n']);
  expect(failures).toEqual([new Error('ENOSPC')]);
  fails = false;
  expect((await ask()).status).toBe(200);
});

test('a client that says nothing, or half, keeps no other from an answer', async () => {
  const { url, port } = await serve(() => ok);
  const sockets: Socket[] = [];
  for (let i = 0; i < 50; i++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    socket.write(i % 2 === 0 ? '' : 'POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nold');
    sockets.push(socket);
  }
  expect((await fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'x' })).status).toBe(200);
  for (const socket of sockets) socket.destroy();
});
