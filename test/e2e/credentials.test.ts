import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Postgres, startPostgres } from '@agentgate/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLeaseSecrets, type LeaseSecrets } from '../../services/credential-broker/src/secrets.ts';
import {
  audience,
  gateAudience,
  type OidcServer,
  startOidcServer,
} from '../../services/credential-broker/test/oidc-server.ts';
import { cli, createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type HttpTools, startHttpTools } from '../fixtures/http-tools.ts';
import { type Agent, type Operator, openAgent, openOperator, textOf } from '../parties.ts';
import { contentOf, createSearch, filesUnder } from '../secret-search.ts';
import { type Stack, startStack } from '../stack.ts';

// Leases of a real PostgreSQL and a real authorization server, from the agent's call to their end.

const dbTools = fileURLToPath(new URL('../../services/credential-broker/test/db-tools.ts', import.meta.url));
let db: Postgres;
let idp: OidcServer;
let web: HttpTools;
let stack: Stack;
let demo: Agent;
let operator: Operator;
let evidence: EvidenceReader;
let secrets: LeaseSecrets;
const personTokens: string[] = [];
/** All that the agent was told. */
const replies: unknown[] = [];

const stdio = `stdio: { command: "${process.execPath}", args: ["${dbTools}"] }`;
const rules = 'rules: [{ schema: shop, tables: [orders], columns: [id, total], privileges: [select] }]';
const servers = () => `  shop:
    ${stdio}
    credential: shop-db
    inject: { env: DATABASE_URL, format: "{url}" }
  desk:
    ${stdio}
    credential: desk-db
    inject: { env: { DATABASE_URL: "{url}", PGUSER: "{user}" } }
  archive:
    ${stdio}
    credential: archive-db
    inject: { env: DATABASE_URL, format: "{url}" }
  orders:
    http: { url: "${web.url}" }
    credential: orders-token
    inject: { header: Authorization, format: "Bearer {secret}" }
`;
const more = () => `credentials:
  shop-db: { provider: postgres, admin: { env: TEST_PG_ADMIN }, ${rules}, ttl_s: 30 }
  desk-db: { provider: postgres, admin: { env: TEST_PG_ADMIN }, ${rules}, ttl_s: 5, reuse: session }
  archive-db: { provider: postgres, admin: { env: TEST_PG_ADMIN }, ${rules}, ttl_s: 60, reuse: session }
  orders-token:
    provider: oauth-token-exchange
    issuer: "${idp.issuer}"
    client: { id: ${idp.client.id}, secret: { env: TEST_OIDC_SECRET } }
    audience: "${audience}"
    scope: "orders:read"
    subject: person
subject_tokens:
  - { issuer: "${idp.issuer}", audience: ${gateAudience}, jwks_uri: "${idp.jwksUri}" }
`;

beforeAll(async () => {
  [db, idp, web] = await Promise.all([startPostgres(), startOidcServer(), startHttpTools()]);
  await db.run(
    "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int, total int, card text); INSERT INTO shop.orders VALUES (1, 20, '4111')",
  );
  const grants =
    '  - { id: leased, to: { agents: [demo, second] }, tools: ["shop/*", "desk/*", "archive/*", orders/leak], effect: allow }';
  stack = await startStack({
    config: ({ probeLog }) => testConfig({ probeLog, servers: servers(), grants, more: more() }),
    env: { TEST_PG_ADMIN: db.url, TEST_OIDC_SECRET: idp.client.secret },
  });
  const broker = new URL('/jwks.json', stack.status.metrics['credential-broker']);
  idp.agents.keys = (await (await fetch(broker)).json()) as OidcServer['agents']['keys'];
  secrets = createLeaseSecrets(
    Buffer.from(readFileSync(join(stack.home, 'keys', 'broker.seed'), 'utf8').trim(), 'base64url'),
  );
  const agent = await openAgent(stack);
  const told = async <T>(reply: Promise<T>): Promise<T> => {
    const text = await reply;
    replies.push(text);
    return text;
  };
  demo = {
    ...agent,
    ask: (...args) => told(agent.ask(...args)),
    call: (...args) => told(agent.call(...args)),
  };
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
  const wanted = ['shop/query', 'desk/query', 'archive/query', 'orders/leak'];
  await eventually(
    'the gate knows the tools',
    async () => {
      const { tools } = await demo.ask('tools', { v: 1 });
      return wanted.every((name) => (tools as { name: string }[]).some((tool) => tool.name === name));
    },
    20_000,
  );
}, 90_000);
afterAll(async () => {
  await stack?.stop();
  await Promise.all([web?.close(), idp?.close(), db?.stop()]);
});

const roles = async () =>
  (await db.run("SELECT rolname FROM pg_roles WHERE rolname LIKE 'ag\\_%'")).map((r) => String(r.rolname));
const query = (session: string, tool: string, sql: string, who = demo) => who.call(session, tool, { sql });
const { run, ask } = createCommand(() => stack.home, 60_000);

describe('a lease for one call', () => {
  test('works for what it is for, is refused by the database for more, and is gone after', async () => {
    const session = await demo.open();
    const read = await query(session, 'shop/query', 'SELECT id, total FROM shop.orders');
    expect([read.status, textOf(read)]).toEqual(['ok', '[{"id":1,"total":20}]']);
    for (const sql of ['SELECT card FROM shop.orders', 'DELETE FROM shop.orders', 'CREATE ROLE mine'])
      expect(textOf(await query(session, 'shop/query', sql))).toMatch(/^42501 permission denied/);
    const completed = await evidence.event('call.completed', read.evidence?.completed);
    const { lease } = completed.data;
    const ended = await eventually('the lease ended', () =>
      evidence.all('lease.revoked').find(({ data }) => data.lease === lease),
    );
    expect(ended.data).toMatchObject({
      credential: 'shop-db',
      why: 'released',
      proof: { kind: 'refused', detail: 'login refused, 0 sessions, no role' },
    });
    await eventually('no role is left', async () => (await roles()).length === 0);
  });

  test('brings nothing of its secret back, however the tool spells it', async () => {
    const reply = await demo.call(await demo.open(), 'shop/leak', {});
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    const permit = completed.data.lease?.split('/').at(-1) ?? '';
    const password = secrets.password(permit);
    expect(textOf(reply)).toMatch(/^\[redacted\] \[redacted\]\w?={0,2} \[redacted\]$/);
    expect(JSON.stringify(reply)).not.toContain(password);
    expect(completed.data.redacted).toEqual(['/content/0/text']);
  });
});

describe('a lease for a session', () => {
  test('serves its calls in one process with one role, and dies in the middle of its work when its time is over', async () => {
    const session = await demo.open();
    const who = async () => textOf(await query(session, 'desk/query', 'SELECT current_user, pg_backend_pid() AS pid'));
    const first = await who();
    expect(await who()).toBe(first);
    const began = performance.now();
    const long = await query(session, 'desk/query', 'SELECT pg_sleep(9)');
    const took = performance.now() - began;
    expect(long.status).not.toBe('ok');
    expect(took).toBeLessThan(7_000);
    await eventually('no role is left', async () => (await roles()).length === 0);
    expect(await who()).not.toBe(first);
  }, 30_000);

  test('is prolonged by later calls, each in evidence, and ends with a kill: process, connection and role', async () => {
    const session = await demo.open();
    const who = async () => textOf(await query(session, 'desk/query', 'SELECT current_user'));
    const first = await who();
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      expect(await who()).toBe(first);
    }
    const renewed = evidence.all('lease.renewed').filter((e) => e.session === session);
    expect(renewed.length).toBeGreaterThan(0);
    const running = query(session, 'desk/query', 'SELECT pg_sleep(30)');
    await eventually(
      'it runs',
      async () =>
        (await db.run("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND usename LIKE 'ag%'"))
          .length > 0,
    );
    const receipt = await operator.kill({ kind: 'session', id: session });
    expect(receipt).toMatchObject({ contained: true, leases: { revoked: 1, irrevocable: [] } });
    expect(receipt.points.map(({ service }) => service)).toContain('credential-broker');
    // Its tool may still say, within the grace of a kill, that its connection was cut.
    expect(['killed', 'tool_error']).toContain((await running).status);
    await eventually(
      'no role and no session is left',
      async () =>
        (await roles()).length === 0 &&
        (await db.run("SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'ag%'")).length === 0,
    );
    expect((await query(session, 'desk/query', 'SELECT 1')).status).toBe('killed');
    await operator.lift({ kind: 'session', id: session });
  }, 30_000);

  test('is of one session: another gets another role', async () => {
    const [one, two] = [await demo.open(), await demo.open()];
    const who = async (session: string) => textOf(await query(session, 'desk/query', 'SELECT current_user'));
    expect(await who(one)).not.toBe(await who(two));
  });
});

describe('a person for whom the agent acts', () => {
  const openFor = async (token: string) => {
    personTokens.push(token);
    return demo.ask('session', { v: 1, subject_token: token });
  };

  test('is named by a token that the gate verifies; the tool gets a token of theirs, the agent as actor in it', async () => {
    const { session } = await openFor(await idp.personToken('ann'));
    const reply = await demo.call(String(session), 'orders/leak', {});
    expect(reply).toMatchObject({ status: 'ok' });
    const token = web.credentials.at(-1)?.slice('Bearer '.length) ?? '';
    expect(JSON.stringify(reply)).not.toContain(token);
    const opened = await eventually('it is recorded', () =>
      evidence.all('session.opened').find((e) => e.session === session),
    );
    expect(opened.data.person).toEqual({ id: 'ann', issuer: idp.issuer });
    const issued = await eventually('the lease is recorded', () =>
      evidence.all('lease.issued').find((e) => e.session === session),
    );
    expect(issued.data).toMatchObject({ credential: 'orders-token', person: 'ann', scope: 'orders:read' });
    const ended = await eventually('the lease ended', () =>
      evidence.all('lease.revoked').find((e) => e.session === session),
    );
    expect(ended.data.proof).toEqual({ kind: 'refused', detail: 'introspection: the token is not active' });
    expect(await idp.introspect(token)).toEqual({ active: false });
  });

  test.each([
    ['of another issuer’s key', { by: 'somebody' as const }, /its issuer did not sign it/],
    ['for somebody else than the gate', { audience: 'https://other.test' }, /its aud is not what counts here/],
    ['that is over', { expiresInS: -60 }, /it has expired/],
  ])('is not taken from a token %s: no session is opened', async (_, change, reason) => {
    const before = evidence.all('session.opened').length;
    const reply = await openFor(await idp.personToken('ann', change));
    expect(reply).toMatchObject({ status: 'invalid', code: 'FIELD_INVALID', reason: expect.stringMatching(reason) });
    expect(reply.reason).toMatch(/^\/subject_token: /);
    expect(evidence.all('session.opened').length).toBe(before);
  });

  test('is needed where the credential is theirs', async () => {
    const reply = await demo.call(await demo.open(), 'orders/leak', {});
    expect(reply).toMatchObject({
      status: 'unavailable',
      code: 'CREDENTIAL_UNAVAILABLE',
      reason: 'credential orders-token needs a session that names a person',
    });
  });
});

describe('the command line', () => {
  test('tries a credential: made, taken, ended, refused', async () => {
    const { code, answer } = await ask('credentials', 'test', 'shop-db');
    expect({ code, ok: answer.ok }).toEqual({ code: 0, ok: true });
    expect((answer.steps as { step: string; status: string }[]).map(({ step, status }) => `${step} ${status}`)).toEqual(
      ['mint ok', 'use ok', 'revoke ok', 'refused ok'],
    );
    const people = await run('credentials', 'test', 'shop-db');
    expect(people.out).toMatch(/yes is refused .* login refused, 0 sessions, no role\n/);
    expect(people.out.trim().endsWith('it works')).toBe(true);
    expect((await run('credentials', 'test', 'absent')).code).toBe(1);
  });

  test('shows the leases that are out, and ends them by prefix', async () => {
    const session = await demo.open();
    const who = textOf(await query(session, 'archive/query', 'SELECT current_user'));
    const prefix = `default/demo/${session}`;
    const { answer } = await ask('leases', prefix);
    expect(answer.leases).toMatchObject([{ credential: 'archive-db', state: 'active', tool: 'archive/query' }]);
    expect((await run('leases', prefix)).out).toMatch(/^active {6}default\/demo\/ses_/);
    const ended = await ask('leases', 'revoke', prefix, '--reason', 'by hand');
    expect(ended).toMatchObject({ code: 0, answer: { revoked: 1, unproven: 0, failed: [] } });
    expect(await roles()).not.toContain(JSON.parse(who ?? '[{}]')[0].current_user);
    expect((await run('leases', prefix)).out).toBe('no lease is open\n');
    const event = await eventually('it is recorded', () =>
      evidence.all('lease.revoked').find((e) => e.session === session),
    );
    expect(event.data).toMatchObject({ why: 'operator', by: 'operator', reason: 'by hand' });
  });

  test('goes on showing them with --watch, each change once', async () => {
    const session = await demo.open();
    const env = { ...process.env, AGENTGATE_HOME: stack.home };
    const watching = spawn(process.execPath, [cli, 'leases', `default/demo/${session}`, '--watch'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    let out = '';
    watching.stdout.on('data', (chunk) => {
      out += String(chunk);
    });
    try {
      await eventually('it looks', () => out.includes('no lease is open\n'), 10_000);
      await query(session, 'desk/query', 'SELECT 1');
      await eventually('it shows the lease', () => out.includes(`default/demo/${session}/`), 10_000);
      await eventually('it shows its end', () => out.endsWith('no lease is open\n'), 20_000);
      expect(out.split('no lease is open\n')).toHaveLength(3);
    } finally {
      watching.kill();
    }
  }, 45_000);

  test('brings in a new key for tokens: published at once, signing later', async () => {
    const keys = async () => {
      const url = new URL('/jwks.json', stack.status.metrics['credential-broker']);
      return ((await (await fetch(url)).json()) as { keys: object[] }).keys;
    };
    const before = await keys();
    expect((await run('credentials', 'rotate', '--in', '1h')).code).toBe(0);
    expect(await keys()).toEqual([...before, expect.anything()]);
    expect((await run('credentials', 'rotate')).code).toBe(1);
  });
});

describe('the database away', () => {
  test('stops the call before its tool, and an end is tried until it succeeds', async () => {
    const session = await demo.open();
    await query(session, 'desk/query', 'SELECT 1');
    await db.program.stop();
    expect(await query(await demo.open(), 'shop/query', 'SELECT 1')).toMatchObject({
      status: 'unavailable',
      code: 'CREDENTIAL_UNAVAILABLE',
      reason: 'credential shop-db was not made: PostgreSQL does not answer',
    });
    const prefix = `default/demo/${session}`;
    const ended = await ask('leases', 'revoke', prefix, '--reason', 'away');
    expect(ended).toMatchObject({
      code: 2,
      answer: { revoked: 0, failed: [{ problem: 'credential desk-db was not ended: PostgreSQL does not answer' }] },
    });
    expect(evidence.all('lease.revoked').filter((e) => e.session === session)).toEqual([]);
    await db.program.start();
    await eventually('it ended', () => evidence.all('lease.revoked').some((e) => e.session === session), 20_000);
    await eventually('no role is left', async () => (await roles()).length === 0, 20_000);
  }, 60_000);

  test('leaves what could not be ended six times to a person: an alarm until somebody says what became of it', async () => {
    const session = await demo.open();
    await query(session, 'desk/query', 'SELECT 1');
    const prefix = `default/demo/${session}`;
    await db.program.stop();
    const [{ lease } = { lease: '' }] = (await ask('leases', prefix)).answer.leases as { lease: string }[];
    const early = await run('leases', 'resolve', lease, '--reason', 'too early');
    expect([early.code, early.out]).toEqual([1, 'the broker is not done with it: `leases revoke` ends it\n']);
    await eventually(
      'the broker gives up',
      async () => {
        await run('leases', 'revoke', prefix, '--reason', 'away');
        return (await run('leases', prefix)).code === 2;
      },
      40_000,
    );
    expect((await run('leases', prefix)).out).toMatch(/^irrevocable /);
    const irrevocable = async () => {
      const text = await (await fetch(stack.status.metrics['credential-broker'] ?? '')).text();
      return /^agentgate_leases_irrevocable(?:\{.*\})? (\d+)$/m.exec(text)?.[1];
    };
    expect(await irrevocable()).toBe('1');
    await eventually('the alarm is recorded', () =>
      evidence.all('lease.irrevocable').some(({ data }) => data.lease === lease && data.tries === 6),
    );
    // It outlives the broker.
    const was = stack.pid('credential-broker');
    stack.kill('credential-broker', 'SIGKILL');
    await stack.restarted('credential-broker', was);
    expect((await run('leases', prefix)).code).toBe(2);
    const resolved = await run('leases', 'resolve', lease, '--reason', 'the server was thrown away');
    expect([resolved.code, resolved.out]).toEqual([0, 'resolved: it is recorded as ended by hand\n']);
    expect([(await run('leases', prefix)).code, await irrevocable()]).toEqual([0, '0']);
    const told = await eventually('it is recorded', () =>
      evidence.all('lease.revoked').find(({ data }) => data.lease === lease),
    );
    expect(told.data).toMatchObject({ why: 'resolved', by: 'operator', reason: 'the server was thrown away' });
    expect(told.data.proof.kind).toBe('unprovable');
    await db.program.start();
  }, 90_000);
});

// Last in this file: it looks through everything that the above left.
test('no password, token or administrator’s URL is in any stream, bucket, store, log or metric', async () => {
  const issued = evidence.all('lease.issued').map(({ data }) => data);
  const passwords = issued
    .filter(({ provider }) => provider === 'postgres')
    .map(({ lease }) => secrets.password(lease.split('/').at(-1) ?? ''));
  const tokens = web.credentials.map((credential) => credential.slice('Bearer '.length));
  expect([passwords.length > 10, tokens.length > 0, personTokens.length > 3]).toEqual([true, true, true]);
  const found = createSearch([
    ...passwords,
    ...tokens,
    ...tokens.flatMap((token) => token.split('.').filter((part) => part.length > 40)),
    ...personTokens,
    ...personTokens.flatMap((token) => token.split('.').slice(2)),
    idp.client.secret,
    new URL(db.url).password,
  ]);
  const metrics = await Promise.all(Object.values(stack.status.metrics).map(async (url) => (await fetch(url)).text()));
  const places = [
    ...filesUnder(stack.home).map((file) => [file, contentOf(file)] as const),
    ['replies', Buffer.from(JSON.stringify(replies))] as const,
    ['output', Buffer.from(stack.output())] as const,
    ['metrics', Buffer.from(metrics.join('\n'))] as const,
  ];
  // The search finds what is there: the leases' own names.
  const [sample = ''] = issued.map(({ lease }) => lease);
  expect(
    places
      .filter(([, bytes]) => bytes.includes(sample))
      .map(([place]) => place)
      .join(),
  ).toMatch(/nats.*|evidence/);
  expect(places.filter(([, bytes]) => found(bytes)).map(([place]) => place)).toEqual([]);
});
