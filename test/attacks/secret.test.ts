import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { probeServer, testConfig } from '../fixtures/config.ts';
import { type HttpTools, startHttpTools } from '../fixtures/http-tools.ts';
import { type Agent, openAgent, openOperator, textOf } from '../parties.ts';
import { contentOf, createSearch, filesUnder } from '../secret-search.ts';
import { type Stack, startStack } from '../stack.ts';

// Static secrets from a file and from the environment, and a minted token, given to tool servers that tell them to everybody.

const fileSecret = `file-${randomBytes(18).toString('base64url')}`;
const envSecret = `env-${randomBytes(18).toString('base64url')}`;
const http: HttpTools[] = [];
const wire: Buffer[] = [];
const replies: string[] = [];
let spies: NatsConnection[];
let stack: Stack;
let demo: Agent;
let session: string;
let evidence: EvidenceReader;

const config = (dir: string, probeLog: string) => {
  writeFileSync(join(dir, 'http.key'), `${fileSecret}\n`, { mode: 0o600 });
  const servers = `  web:
    http: { url: "${http[0]?.url}" }
    credential: web-key
    inject: { header: Authorization, format: "Bearer {secret}" }
  minted:
    http: { url: "${http[1]?.url}" }
    credential: minted
    inject: { header: Authorization }
  local:
    ${probeServer(probeLog)}
    credential: local-key
    inject: { env: PROBE_SECRET }
`;
  const grants = '  - { id: leaks, to: { agents: [demo] }, tools: [web/leak, minted/leak, "local/*"], effect: allow }';
  const more = `credentials:
  web-key: { provider: static, from: { file: ./http.key } }
  local-key: { provider: static, from: { env: TEST_LOCAL_SECRET } }
  minted: { provider: jwt, audience: "https://tools.example", scope: "tools:call", ttl_s: 30 }
`;
  return testConfig({ probeLog, servers, grants, more });
};

const spyOn = async (account: 'CORE' | 'AUDIT' | 'TOOLS' | { tenant: string }): Promise<NatsConnection> => {
  const creds = await stack.mint(account, 'spy', [], ['>']);
  const nc = await connect({
    servers: stack.status.nats,
    authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
  });
  nc.subscribe('>', { callback: (_, msg) => void wire.push(Buffer.from(msg.data)) });
  await nc.flush();
  return nc;
};

const call = async (tool: string, args: object = {}, more: object = {}) => {
  const reply = await demo.call(session, tool, args, more);
  replies.push(JSON.stringify(reply));
  return reply;
};

beforeAll(async () => {
  http.push(await startHttpTools(), await startHttpTools());
  stack = await startStack({
    config: ({ dir, probeLog }) => config(dir, probeLog),
    env: { TEST_LOCAL_SECRET: envSecret },
  });
  spies = await Promise.all([spyOn('CORE'), spyOn('AUDIT'), spyOn('TOOLS'), spyOn({ tenant: 'default' })]);
  demo = await openAgent(stack);
  session = await demo.open();
  evidence = await readEvidence(stack);
});
afterAll(async () => {
  await Promise.all(spies?.map((nc) => nc.close()) ?? []);
  await stack?.stop();
  await Promise.all(http.map((server) => server.close()));
});

const jwtOf = () => http[1]?.credentials.at(-1) ?? '';

test('the HTTP server gets the secret from the file, and the agent a result without it', async () => {
  const reply = await call('web/leak');
  expect(reply.status).toBe('ok');
  expect(http[0]?.credentials).toContain(`Bearer ${fileSecret}`);
  expect(textOf(reply)).toContain('[redacted]');
  const completed = await evidence.event('call.completed', reply.evidence?.completed);
  expect(completed.data).toMatchObject({ outcome: 'ok', lease: expect.any(String) });
  expect(completed.data.redacted).toEqual(expect.arrayContaining(['/content/0/text']));
  const issued = await eventually('lease.issued', () =>
    evidence.all('lease.issued').find((e) => e.data.call === reply.call),
  );
  expect(issued.data).toMatchObject({ credential: 'web-key', provider: 'static', lease: completed.data.lease });
});

test('the process of a stdio server gets the secret from the environment, for that call alone', async () => {
  const reply = await call('local/leak');
  expect(reply.status).toBe('ok');
  const digest = createHash('sha256').update(envSecret).digest('hex');
  expect(
    stack.probe
      .entries()
      .filter((e) => e.event === 'secret')
      .map((e) => e.digest),
  ).toEqual([digest]);
  // The same program without a credential of its own knows nothing.
  const plain = await call('probe/environment');
  expect(textOf(plain)).not.toContain('PROBE_SECRET');
});

test('the minted token is signed, for this audience and scope, and short-lived', async () => {
  const reply = await call('minted/leak');
  expect(reply.status).toBe('ok');
  const [head = '', body = ''] = jwtOf().split('.');
  const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
  expect(decode(head)).toMatchObject({ alg: 'EdDSA' });
  const claims = decode(body) as { aud: string; scope: string; exp: number };
  expect(claims).toMatchObject({ aud: 'https://tools.example', scope: 'tools:call' });
  expect(claims.exp - Date.now() / 1000).toBeLessThanOrEqual(31);
});

test('a busy run with failures of all kinds goes through', async () => {
  const work = Array.from({ length: 12 }, (_, i) => [
    call('web/leak', { i }),
    call('minted/leak', { i }),
    call('local/echo', { text: `busy ${i}` }),
  ]).flat();
  expect((await Promise.all(work)).filter(({ status }) => status !== 'ok')).toEqual([]);
  expect((await call('local/crash')).status).toBe('outcome_unknown');
  expect((await call('local/fail')).status).toBe('tool_error');
  expect((await call('local/slow', { ms: 5_000 }, { timeout_ms: 600 })).status).toBe('timeout');
  await http[0]?.close();
  expect((await call('web/leak')).status).toMatch(/unavailable|outcome_unknown/);
  const operator = await openOperator(stack);
  const running = call('local/slow', { ms: 5_000, tag: 'killed' });
  await eventually('it runs', () => stack.probe.starts('killed') === 1);
  await operator.kill({ kind: 'session', id: session });
  expect((await running).status).toBe('killed');
  await operator.lift({ kind: 'session', id: session });
});

test('every lease that was issued is revoked or has expired', async () => {
  await eventually('all leases ended', () => {
    const ended = new Set(evidence.all('lease.revoked').map((e) => e.data.lease));
    const issued = evidence.all('lease.issued').map((e) => e.data.lease);
    return issued.length > 36 && issued.every((lease) => ended.has(lease));
  });
});

// Last in this file: it looks through everything that the above left.
test('the secrets are in no stream, bucket, store, log or reply, and in no message on the way', () => {
  const jwt = jwtOf();
  expect(jwt.length).toBeGreaterThan(100);
  const found = createSearch([fileSecret, envSecret, jwt]);
  expect(found(Buffer.from(`x${fileSecret}x`))).toBe(true);
  expect(found(Buffer.from(Buffer.from(`user:${envSecret}`).toString('base64')))).toBe(true);
  const files = filesUnder(stack.home);
  // Streams, Redis, the evidence log and what the services said are all there.
  for (const part of ['/nats/', '/redis/', '/evidence/', '/logs/tool-runner.log', '/logs/credential-broker.log'])
    expect(files.some((file) => file.includes(part))).toBe(true);
  expect(files.filter((file) => found(contentOf(file)))).toEqual([]);
  expect(found(readFileSync(join(stack.dir, 'probe.log')))).toBe(false);
  expect(found(Buffer.from(stack.output()))).toBe(false);
  expect(replies.filter((reply) => found(Buffer.from(reply)))).toEqual([]);
  expect(wire.length).toBeGreaterThan(300);
  expect(wire.filter(found).map((bytes) => bytes.toString().slice(0, 200))).toEqual([]);
});

test('a credential that cannot be had stops the call before the tool', async () => {
  const was = stack.pid('credential-broker');
  stack.kill('credential-broker', 'SIGSTOP');
  const starts = stack.probe.starts();
  const reply = await call('local/leak', {}, { timeout_ms: 4_000 });
  expect(reply).toMatchObject({ status: expect.stringMatching(/unavailable|timeout/) });
  expect(stack.probe.starts()).toBe(starts);
  stack.kill('credential-broker', 'SIGCONT');
  expect(stack.pid('credential-broker')).toBe(was);
  await eventually('the broker answers again', async () => (await call('local/leak')).status === 'ok');
});
