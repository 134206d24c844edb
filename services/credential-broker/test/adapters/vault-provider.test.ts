import { readFileSync } from 'node:fs';
import type { CredentialOf } from '@agentgate/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { createVaultProvider, type VaultProvider } from '../../src/adapters/vault-provider.ts';
import type { LeaseAtProvider, LeaseOrder } from '../../src/provider.ts';
import {
  type Answer,
  type AnsweringServer,
  type Asked,
  everythingOf,
  rejectionOf,
  startAnswering,
} from '../answering-server.ts';

// The bodies have the shapes of https://developer.hashicorp.com/vault/api-docs (system/leases, secret/databases, auth/token) and of the
// same pages of openbao.org.
const fixture = (name: string) => readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), 'utf8');
const errors = JSON.parse(fixture('vault-errors')) as Record<string, unknown>;
const creds = fixture('vault-database-creds');
const changed = (name: string, change: object) => JSON.stringify({ ...JSON.parse(fixture(name)), ...change });
const refused = (status: number, what: string): Answer => ({ status, body: JSON.stringify(errors[what]) });
const ok = (body: string): Answer => ({ status: 200, body });

const brokerToken = 'hvs.CAESIJ-the-own-token';
const password = 'A1a-132ae3ef5a647499351e';
const leaseId = 'database/creds/readonly/2f6a614c-4aa2-7b19-24b9-ad944a8d4de6';
const handle = JSON.stringify({ lease_id: leaseId });
const at = 1_700_000_000_000;

const order: LeaseOrder = {
  lease: 'default/demo/ses_1/call_1/vault/0',
  permit: 'prm_0123456789',
  credential: 'orders-db',
  scope: undefined,
  tenant: 'default',
  agent: 'demo',
  session: 'ses_0123456789',
  person: undefined,
  issuedAt: at,
  expiresAt: at + 60_000,
};
const leaseWith = (h: string | undefined, permit = order.permit): LeaseAtProvider => ({ ...order, permit, handle: h });

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Bench {
  provider: VaultProvider;
  server: AnsweringServer;
  /** What was asked, without the broker's care for its own token. */
  asked: () => Pick<Asked, 'method' | 'path' | 'body'>[];
  logged: Record<string, unknown>[];
}

const bench = async (
  answer: Answer | ((asked: Asked) => Answer),
  change: Partial<CredentialOf<'vault'>> = {},
  read: () => Promise<string> = async () => brokerToken,
): Promise<Bench> => {
  const server = await startAnswering((asked) => {
    if (asked.path.includes('/v1/auth/token/')) return ok(fixture('vault-token-lookup-self'));
    return typeof answer === 'function' ? answer(asked) : answer;
  });
  open.push(server.close);
  const logged: Record<string, unknown>[] = [];
  const provider = createVaultProvider({
    credential: 'orders-db',
    config: {
      provider: 'vault',
      address: server.url,
      token: { env: 'VAULT_TOKEN' },
      path: 'database/creds/readonly',
      field: 'password',
      ttl_s: 60,
      reuse: 'call',
      max_leases: 10,
      ...change,
    },
    read,
    now: () => at,
    log: { warn: (fields, message) => void logged.push({ ...fields, message }) },
  });
  open.push(provider.close);
  const asked = () =>
    server.asked
      .filter(({ path }) => !path.includes('/v1/auth/token/'))
      .map(({ method, path, body }) => ({ method, path, body }));
  return { provider, server, asked, logged };
};

const unavailable = (message: RegExp) =>
  expect.objectContaining({ code: 'CREDENTIAL_UNAVAILABLE', message: expect.stringMatching(message) });

describe('mint', () => {
  test('asks for the dynamic secret with the token and the namespace, and gives its fields', async () => {
    const { provider, server, asked } = await bench(ok(creds), { namespace: 'team-a/prod' });
    expect(await provider.mint(order)).toEqual({
      parts: { secret: password, password, username: 'v-token-readonly-x7Cp1nDbWv4QWm-1430158508' },
      hidden: ['password', 'secret'],
      handle,
      expiresAt: order.expiresAt,
    });
    expect(asked()).toEqual([{ method: 'GET', path: '/v1/database/creds/readonly', body: '' }]);
    const sent = server.asked.find(({ path }) => path === '/v1/database/creds/readonly');
    expect(sent?.headers).toMatchObject({ 'x-vault-token': brokerToken, 'x-vault-namespace': 'team-a/prod' });
  });

  test('keeps to a path that the address has, and sends no namespace where there is none', async () => {
    const { provider, server, asked } = await bench(ok(creds));
    const below = await bench(ok(creds), { address: `${server.url}/behind/` });
    await below.provider.mint(order);
    expect(asked()).toEqual([{ method: 'GET', path: '/behind/v1/database/creds/readonly', body: '' }]);
    await provider.mint(order);
    expect(server.asked.every(({ headers }) => headers['x-vault-namespace'] === undefined)).toBe(true);
  });

  test("ends when Vault's lease ends, where that is sooner", async () => {
    const { provider } = await bench(ok(changed('vault-database-creds', { lease_duration: 20 })));
    expect((await provider.mint(order)).expiresAt).toBe(at + 20_000);
  });

  test('takes the field that is the secret, and leaves out what is no text or empty', async () => {
    const { provider } = await bench(ok(fixture('vault-aws-creds')), { path: 'aws/creds/deploy', field: 'secret_key' });
    const { parts, hidden } = await provider.mint(order);
    const key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
    expect(parts).toEqual({ secret: key, secret_key: key, access_key: 'AKIAIOSFODNN7EXAMPLE' });
    expect([...hidden].sort()).toEqual(['access_key', 'secret', 'secret_key']);
  });

  test('reads the token at each use', async () => {
    const tokens = ['first', 'second', 'third'];
    const { provider, server } = await bench(ok(creds), {}, async () => tokens.shift() ?? 'last');
    await provider.mint(order);
    await provider.mint(order);
    const used = server.asked.map(({ headers }) => headers['x-vault-token']);
    expect(new Set(used).size).toBe(3);
  });

  test('refuses a secret without a lease, and says that nothing is left', async () => {
    const { provider, asked } = await bench(ok(fixture('vault-kv')));
    await expect(provider.mint(order)).rejects.toEqual(
      unavailable(/got no lease from Vault: its path must be of a dyn/),
    );
    await provider.revoke(leaseWith(undefined));
    expect(asked()).toHaveLength(1);
  });

  test('gives the lease back at once where the secret is of no use', async () => {
    for (const [change, message] of [
      [{ data: { username: 'u' } }, /got a secret from Vault that has no field password$/],
      [{ data: { password: 7 } }, /has no field password$/],
      [{ data: null }, /got an answer of another form from Vault$/],
      [{ lease_duration: -1 }, /another form/],
    ] as const) {
      const { provider, asked } = await bench(({ method }) =>
        method === 'GET' ? ok(changed('vault-database-creds', change)) : { status: 204 },
      );
      await expect(provider.mint(order)).rejects.toEqual(unavailable(message));
      expect(asked().at(-1)).toEqual({
        method: 'PUT',
        path: '/v1/sys/leases/revoke',
        body: JSON.stringify({ lease_id: leaseId, sync: true }),
      });
      await provider.revoke(leaseWith(undefined));
    }
  });

  test('logs the lease that could not be given back', async () => {
    const { provider, logged } = await bench(({ method }) =>
      method === 'GET' ? ok(changed('vault-database-creds', { data: {} })) : refused(403, 'permission denied'),
    );
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/no field password/));
    expect(logged).toEqual([
      expect.objectContaining({ lease_id: leaseId, message: expect.stringMatching(/could not be ended/) }),
    ]);
    await expect(provider.revoke(leaseWith(undefined))).rejects.toEqual(unavailable(/never written down/));
  });
});

describe('what Vault may answer instead', () => {
  const secretInText = `{"data":{"password":"${password}"`;
  const cases: [string, Answer, RegExp, 'made nothing' | 'may have made it'][] = [
    ['permission denied', refused(403, 'permission denied'), /is refused by Vault: .*\(HTTP 403\)$/, 'made nothing'],
    ['a role that is not there', refused(404, 'nothing there'), /\(HTTP 404\)$/, 'made nothing'],
    ['sealed', refused(503, 'sealed'), /Vault is sealed or not active \(HTTP 503\)$/, 'made nothing'],
    ['a fault of its own', { status: 500, body: secretInText }, /\(HTTP 500\)$/, 'may have made it'],
    [
      'a redirect',
      { status: 307, headers: { Location: 'http://127.0.0.1:9/v1/database/creds/readonly' } },
      /got a redirect from Vault, which is not followed \(HTTP 307\)$/,
      'made nothing',
    ],
    ['half of an answer', ok(secretInText), /got no lease from Vault/, 'may have made it'],
    ['a page', ok(`<html>${password}</html>`), /got no lease from Vault/, 'may have made it'],
    [
      'a lease that is no text',
      ok(changed('vault-database-creds', { lease_id: 7 })),
      /got no lease from Vault/,
      'may have made it',
    ],
    [
      'too much',
      ok(changed('vault-database-creds', { warnings: ['x'.repeat(64 * 1024)] })),
      /got an answer of more than 65536 bytes from Vault$/,
      'may have made it',
    ],
    ['something that is no HTTP', 'garbage', /Vault cannot be reached$/, 'may have made it'],
    ['nothing: it hangs up', 'hang up', /Vault cannot be reached$/, 'may have made it'],
  ];
  test.each(cases)('%s', async (_, answer, message, outcome) => {
    const { provider, asked } = await bench(answer);
    const error = await rejectionOf(provider.mint(order));
    expect(error).toEqual(unavailable(message));
    expect((error as Error).message).toMatch(/^credential orders-db /);
    for (const secret of [password, brokerToken, 's3cret-in-garbage', 'permission denied'])
      expect(everythingOf(error)).not.toContain(secret);
    expect(asked()).toHaveLength(1);

    const revoked = provider.revoke(leaseWith(undefined));
    const probe = await provider.probe(leaseWith(undefined));
    if (outcome === 'made nothing') {
      await revoked;
      expect(probe.state).toBe('refused');
    } else {
      await expect(revoked).rejects.toEqual(unavailable(/nobody was given the secret, and it ends by itself/));
      expect(probe.state).toBe('unprovable');
    }
  });

  test.each(['hang', 'drip'] as const)('no end of an answer within 2 s (%s)', async (answer) => {
    const { provider } = await bench(answer);
    const began = performance.now();
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/got no answer from Vault within 2000 ms$/));
    expect(performance.now() - began).toBeLessThan(3_500);
  });

  test('nobody: what cannot be reached made nothing', async () => {
    const { provider, server } = await bench(ok(creds));
    await server.close();
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/Vault cannot be reached$/));
    await provider.revoke(leaseWith(undefined));
    await expect(provider.revoke(leaseWith(handle))).rejects.toEqual(unavailable(/Vault cannot be reached$/));
    await expect(provider.probe(leaseWith(handle))).rejects.toEqual(unavailable(/Vault cannot be reached$/));
  });

  test('a token that cannot be read or sent is not quoted', async () => {
    for (const read of [
      async () => 'hvs.two\nlines-of-it',
      async () => '',
      () => Promise.reject(new Error('cannot read lines-of-it')),
    ]) {
      const { provider, asked } = await bench(ok(creds), {}, read);
      const error = await rejectionOf(provider.mint(order));
      expect(error).toEqual(unavailable(/the broker's token for Vault (is not one|cannot be read)$/));
      expect(everythingOf(error)).not.toContain('lines-of-it');
      expect(asked()).toEqual([]);
    }
  });

  test('a path does not lead out of where it begins', async () => {
    const { provider, asked } = await bench(ok(creds), { path: 'database/../sys/raw' });
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/leads elsewhere/));
    expect(asked()).toEqual([]);
  });
});

describe('revoke', () => {
  test('ends the lease, waits for it, and twice is as good as once', async () => {
    const answers: Answer[] = [
      { status: 204 },
      refused(400, 'invalid lease'),
      refused(404, 'invalid lease'),
      refused(400, 'lease not found'),
    ];
    const { provider, asked } = await bench(() => answers.shift() ?? 'hang up');
    for (let i = 0; i < 4; i++) await provider.revoke(leaseWith(handle));
    const once = {
      method: 'PUT',
      path: '/v1/sys/leases/revoke',
      body: JSON.stringify({ lease_id: leaseId, sync: true }),
    };
    expect(asked()).toEqual([once, once, once, once]);
  });

  test('rejects where Vault did not end it', async () => {
    for (const [answer, message] of [
      [refused(403, 'permission denied'), /HTTP 403/],
      [refused(503, 'sealed'), /sealed/],
      [{ status: 500, body: '{"errors":["failed to revoke entry"]}' }, /HTTP 500/],
      [{ status: 202 }, /HTTP 202/],
      [{ status: 404, body: '<h1>not found</h1>' }, /HTTP 404/],
      [refused(404, 'nothing there'), /HTTP 404/],
      [{ status: 302, headers: { Location: '/v1/sys/health' } }, /redirect/],
      ['hang up', /cannot be reached/],
    ] as [Answer, RegExp][]) {
      const { provider } = await bench(answer);
      await expect(provider.revoke(leaseWith(handle))).rejects.toEqual(unavailable(message));
    }
  });

  test('rejects without a handle where Vault may have made a secret, and asks nothing', async () => {
    const { provider, asked } = await bench({ status: 204 });
    await expect(provider.revoke(leaseWith(undefined))).rejects.toEqual(
      unavailable(
        /^credential orders-db may have a lease at Vault whose name was never written down: .* after its ttl/,
      ),
    );
    expect(asked()).toEqual([]);
  });

  test('rejects a handle that is not one, without quoting it', async () => {
    const { provider, asked } = await bench({ status: 204 });
    for (const broken of ['{"lease_id":', '{}', '{"lease_id":""}', '{"lease_id":"a","more":1}']) {
      const error = await rejectionOf(provider.revoke(leaseWith(broken)));
      expect(error).toEqual(unavailable(/has a lease whose handle is not one$/));
      expect(everythingOf(error)).not.toContain('lease_id');
    }
    expect(asked()).toEqual([]);
  });
});

describe('probe', () => {
  test('alive while Vault has the lease', async () => {
    const { provider, asked } = await bench(ok(fixture('vault-lease-lookup')));
    expect(await provider.probe(leaseWith(handle))).toEqual({
      state: 'alive',
      detail: 'sys/leases/lookup: Vault has the lease for another 592 s',
    });
    expect(asked()).toEqual([
      { method: 'PUT', path: '/v1/sys/leases/lookup', body: JSON.stringify({ lease_id: leaseId }) },
    ]);
  });

  test.each([400, 404])('refused where Vault says that it is no lease (%d)', async (status) => {
    const { provider } = await bench(refused(status, 'invalid lease'));
    expect(await provider.probe(leaseWith(handle))).toEqual({
      state: 'refused',
      detail: 'sys/leases/lookup: Vault has no such lease any more',
    });
  });

  test('rejects where Vault does not say', async () => {
    for (const [answer, message] of [
      [refused(403, 'permission denied'), /HTTP 403/],
      [refused(503, 'sealed'), /sealed/],
      [refused(404, 'nothing there'), /HTTP 404/],
      [{ status: 400, body: '{"errors":["lease_id must be specified"]}' }, /HTTP 400/],
      [{ status: 404, body: 'invalid lease' }, /HTTP 404/],
      [ok('{}'), /another form/],
      [ok('{"data":{"id":"database/creds/readonly/of-somebody-else","ttl":5}}'), /another form/],
    ] as [Answer, RegExp][]) {
      const { provider } = await bench(answer);
      await expect(provider.probe(leaseWith(handle))).rejects.toEqual(unavailable(message));
    }
  });
});

describe('renew', () => {
  test('asks for as long as the lease is to live, and changes no parts', async () => {
    const { provider, asked } = await bench(ok(fixture('vault-lease-renew')));
    expect(await provider.renew?.({ ...order, expiresAt: at + 59_100 }, handle)).toBeUndefined();
    expect(asked()).toEqual([
      { method: 'PUT', path: '/v1/sys/leases/renew', body: JSON.stringify({ lease_id: leaseId, increment: 60 }) },
    ]);
  });

  test('rejects where Vault gives less, does not know it, or cannot be told which', async () => {
    for (const [answer, h, message] of [
      [ok(changed('vault-lease-renew', { lease_duration: 59 })), handle, /cannot be renewed for so long/],
      [ok(changed('vault-lease-renew', { lease_id: 'database/creds/readonly/other' })), handle, /another form/],
      [refused(400, 'lease not found'), handle, /HTTP 400/],
      [ok(fixture('vault-lease-renew')), undefined, /never written down/],
    ] as [Answer, string | undefined, RegExp][]) {
      const { provider } = await bench(answer);
      await expect(provider.renew?.(order, h)).rejects.toEqual(unavailable(message));
    }
  });
});

describe('revokePrefix', () => {
  test('ends all below a prefix and waits for it', async () => {
    const { provider, asked } = await bench({ status: 204 });
    await provider.revokePrefix('database/creds/readonly/');
    expect(asked()).toEqual([
      { method: 'PUT', path: '/v1/sys/leases/revoke-prefix/database/creds/readonly', body: '{"sync":true}' },
    ]);
  });

  test('rejects without sudo, and a prefix that is everything or leads elsewhere', async () => {
    const { provider, asked } = await bench(refused(403, 'permission denied'));
    await expect(provider.revokePrefix('database')).rejects.toEqual(unavailable(/HTTP 403/));
    for (const prefix of ['', '/', 'a//b', '../mounts', 'database/./creds'])
      await expect(provider.revokePrefix(prefix)).rejects.toEqual(unavailable(/leads elsewhere/));
    expect(asked()).toHaveLength(1);
  });
});
