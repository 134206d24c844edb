import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { createVaultClient } from '../../src/adapters/vault-client.ts';
import { keepTokenAlive } from '../../src/adapters/vault-token.ts';
import { type Answer, type Asked, everythingOf, startAnswering } from '../answering-server.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8'));
const lookedUp = (change: object): Answer => {
  const body = fixture('vault-token-lookup-self');
  return { status: 200, body: JSON.stringify({ ...body, data: { ...body.data, ...change } }) };
};
const renewed = (change: object): Answer => {
  const body = fixture('vault-token-renew-self');
  return { status: 200, body: JSON.stringify({ ...body, auth: { ...body.auth, ...change } }) };
};

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const bench = async (answer: (asked: Asked) => Answer) => {
  const server = await startAnswering(answer);
  open.push(server.close);
  const logged: unknown[] = [];
  const kept = keepTokenAlive({
    credential: 'orders-db',
    client: createVaultClient({
      credential: 'orders-db',
      config: { address: server.url, token: { env: 'T' } },
      read: async () => 'hvs.own',
    }),
    log: { warn: (fields, message) => void logged.push({ ...fields, message }) },
    retryMs: 50,
  });
  open.push(kept.close);
  return { kept, logged, asked: () => server.asked.map(({ method, path }) => `${method} ${path}`) };
};
const look = 'GET /v1/auth/token/lookup-self';
const renew = 'POST /v1/auth/token/renew-self';

test('renews at half of what is left, and then at half of what it got', async () => {
  const { asked, logged } = await bench(({ method }) =>
    method === 'GET' ? lookedUp({ ttl: 2 }) : renewed({ lease_duration: 2 }),
  );
  await pause(600);
  expect(asked()).toEqual([look]);
  await vi.waitFor(() => expect(asked()).toEqual([look, renew]), { timeout: 1_500 });
  await vi.waitFor(() => expect(asked()).toEqual([look, renew, renew]), { timeout: 1_500 });
  expect(logged).toEqual([]);
});

test.each([
  ['is not renewable', { ttl: 2, renewable: false }],
  ['has no renewable', { ttl: 2, renewable: undefined }],
])('renews nothing where the token %s, and looks again', async (_, data) => {
  const { asked } = await bench(() => lookedUp(data));
  await vi.waitFor(() => expect(asked()).toEqual([look, look]), { timeout: 1_500 });
});

test.each([
  ['a root token', { ttl: 0, renewable: false }],
  ['a life longer than a timer', { ttl: 90 * 24 * 3600 }],
])('does not spin over %s', async (_, data) => {
  const { asked } = await bench(() => lookedUp(data));
  await pause(300);
  expect(asked()).toEqual([look]);
});

test('logs a failed renewal, without what Vault said, and tries again', async () => {
  const answers: Answer[] = [
    { status: 503, body: '{"errors":["Vault is sealed"]}' },
    { status: 200, body: '"hvs.own is no token"' },
    lookedUp({ ttl: 2 }),
    { status: 403, body: '{"errors":["permission denied"]}' },
    lookedUp({ ttl: 7200 }),
  ];
  const { asked, logged } = await bench(() => answers.shift() ?? 'hang up');
  await vi.waitFor(() => expect(asked()).toEqual([look, look, look, renew, look]), { timeout: 3_000 });
  expect(logged).toEqual(
    [/sealed/, /another form/, /HTTP 403/].map((message) =>
      expect.objectContaining({
        credential: 'orders-db',
        message: "the broker's own token for Vault could not be renewed; it is tried again",
        err: expect.objectContaining({ code: 'CREDENTIAL_UNAVAILABLE', message: expect.stringMatching(message) }),
      }),
    ),
  );
  for (const said of ['hvs.own', 'permission denied']) expect(everythingOf(logged)).not.toContain(said);
});

test('its timer keeps no process alive', async () => {
  const timers = vi.spyOn(globalThis, 'setTimeout');
  const { asked } = await bench(() => lookedUp({ ttl: 7200 }));
  const waiting = () => timers.mock.results.filter((_, i) => timers.mock.calls[i]?.[1] === 3_600_000);
  await vi.waitFor(() => expect(waiting()).toHaveLength(1));
  const refs = waiting().map(({ value }) => (value as NodeJS.Timeout).hasRef());
  timers.mockRestore();
  expect(refs).toEqual([false]);
  expect(asked()).toEqual([look]);
});

test('asks nothing more once it is closed, in the middle of a round too', async () => {
  const { kept, asked } = await bench(() => ({ status: 503 }));
  await kept.close();
  await pause(200);
  expect(asked()).toEqual([look]);
});
