import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { download, sha256 } from './download.mjs';

const serving = async (handler, work) => {
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${server.address().port}/archive`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
};

test('returns the bytes when they have the pinned digest', () =>
  serving(
    (_, response) => response.end('good'),
    async (url) => assert.equal(String(await download(fetch, url, { pinned: sha256('good') })), 'good'),
  ));

test('refuses bytes that do not have the pinned digest', () =>
  serving(
    (_, response) => response.end('evil'),
    (url) => assert.rejects(download(fetch, url, { pinned: sha256('good') }), /is pinned: refused/),
  ));

test('refuses an error page', () =>
  serving(
    (_, response) => response.writeHead(404).end('good'),
    (url) => assert.rejects(download(fetch, url, { pinned: sha256('good') }), /HTTP 404/),
  ));

test('gives up soon when there is no answer', () =>
  serving(
    () => undefined,
    (url) => assert.rejects(download(fetch, url, { pinned: sha256('good'), connectMs: 100 }), /no answer within 0.1 s/),
  ));

test('says that it cannot connect when nothing listens', async () => {
  let gone;
  await serving(
    () => undefined,
    async (url) => {
      gone = url;
    },
  );
  await assert.rejects(download(fetch, gone, { pinned: '' }), /cannot connect \(ECONNREFUSED\)/);
});
