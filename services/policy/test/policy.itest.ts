import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  auditConsumer,
  type DecideAnswer,
  permitDomain,
  permitLines,
  policyDecide,
  policyHold,
  policyOpenSession,
  policyVisible,
  toolKey,
} from '@agentgate/contracts';
import { canonical, verifySeal } from '@agentgate/evidence';
import { freePorts, type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

// The service as its own process on real servers, asked as ingress asks it.

const config = `v: 1
tenants: { default: { agents: { demo: { labels: [dev] }, other: {} } } }
servers:
  fs: { stdio: { command: ./fs } }
  crm: { http: { url: "http://127.0.0.1:1/mcp" }, credential: crm-key, inject: { header: Authorization } }
credentials: { crm-key: { provider: static, from: { env: NONE } } }
grants:
  - { id: write, to: { agents: [demo] }, tools: [fs/write], where: { /path: { under: /srv/box } }, effect: allow }
  - { id: crm, to: { labels: [dev] }, tools: ["crm/*"], effect: allow }
  - { id: ask, to: { labels: [dev] }, tools: [crm/delete], effect: require_approval }
`;
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const who = { tenant: 'default', agent: 'demo' };

let ground: Ground;
let child: ChildProcess | undefined;
let output = '';
let ingress: Bus;
let healthUrl = '';

const start = async (configFile: string) => {
  const { websocket: port } = await freePorts();
  healthUrl = `http://127.0.0.1:${port}`;
  output = '';
  const started = spawn(process.execPath, [main], {
    env: {
      AGENTGATE_NATS_URL: ground.natsUrl,
      AGENTGATE_NATS_CREDS: ground.credsFile('policy'),
      AGENTGATE_KEY: ground.keyFile('policy'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: configFile,
      AGENTGATE_REDIS_URL_FILE: ground.redisUrlFile('policy'),
      AGENTGATE_HTTP_PORT: String(port),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [started.stdout, started.stderr])
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  child = started;
  const ended = new Promise<number | null>((resolve) => started.once('exit', resolve));
  return { ended };
};
const isReady = () =>
  fetch(`${healthUrl}/readyz`).then(
    (answer) => answer.status === 200,
    () => false,
  );

beforeAll(async () => {
  ground = await startGround({ config });
  writeFileSync(ground.configFile, config);
  const runner = await ground.connect('tool-runner');
  for (const name of ['fs/write', 'fs/read', 'crm/list', 'crm/delete', 'gone/x']) {
    const record = {
      v: 1,
      name,
      description: name,
      input_schema: {},
      annotations: {},
      schema_digest: '0'.repeat(64),
      seen_at: new Date().toISOString(),
    };
    const { v, seen_at, schema_digest, ...definition } = record;
    const pin = { v, tool: name, accepted: { schema_digest, definition, flags: [], at: seen_at, by: 'first use' } };
    await runner.bucket('PINS').put(toolKey(name), JSON.stringify(pin));
    await runner.bucket('TOOLS').put(toolKey(name), JSON.stringify(record));
  }
  ingress = await ground.connect('ingress');
  await start(ground.configFile);
  const until = Date.now() + 20_000;
  while (!(await isReady())) {
    if (Date.now() > until) throw new Error(`not ready:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await ground?.stop();
});

const openSession = async () => (await ingress.ask(policyOpenSession, { v: 1, ...who, purpose: 'tidy up' })).session;
let calls = 0;
const call = (session: string, tool: string, args: Record<string, unknown>, agent = 'demo') => ({
  ...who,
  agent,
  session,
  tool,
  arguments: args,
  call: `call_${String(++calls).padStart(12, '0')}`,
  deadline: Date.now() + 10_000,
});
const decide = (...asked: Parameters<typeof call>) => ingress.batcher(policyDecide)(call(...asked));
const permitOf = ({ permit }: DecideAnswer) => {
  if (!permit) throw new Error('no permit');
  return permit;
};

test('a session, an allowed call with a permit that verifies, and a call beyond the grant', async () => {
  const session = await openSession();
  const allowed = await decide(session, 'fs/write', { path: '/srv/box/a', text: 'x' });
  expect(allowed.decision).toMatchObject({ action: 'allow', code: 'OK', rule: 'write' });
  const { claims, seal } = permitOf(allowed);
  expect(
    verifySeal({ domain: permitDomain, lines: permitLines, leaf: canonical(claims), seal, keys: ground.trust }),
  ).toEqual({ ok: true });
  const denied = await decide(session, 'fs/write', { path: '/etc/passwd', text: 'x' });
  expect(denied.decision).toEqual({
    action: 'deny',
    code: 'ARGUMENT_NOT_ALLOWED',
    reason: 'argument /path does not satisfy "under" of grant write: it is outside',
    rule: 'write',
    obligations: {},
  });
  expect(denied.permit).toBeUndefined();
});

test('a server’s credential is in the permit', async () => {
  const answer = await decide(await openSession(), 'crm/list', {});
  expect(permitOf(answer).claims.obligations).toEqual({ credential: { name: 'crm-key' } });
});

test.each([
  ['UNKNOWN_SESSION', 'fs/write', 'demo', 'ses_00000000000'],
  ['UNKNOWN_SESSION', 'fs/write', 'other', undefined],
  ['UNKNOWN_TOOL', 'fs/none', 'demo', undefined],
  ['UNKNOWN_TOOL', 'gone/x', 'demo', undefined],
  ['NO_GRANT', 'fs/read', 'demo', undefined],
  // Another's session is answered first, so that nobody learns which agents there are.
  ['UNKNOWN_SESSION', 'fs/write', 'ghost', undefined],
])('%s: %s by %s', async (code, tool, agent, session) => {
  expect((await decide(session ?? (await openSession()), tool, {}, agent)).decision.code).toBe(code);
});

test('POLICY_UNAVAILABLE where a person has to be asked and nobody runs who could', async () => {
  await expect(decide(await openSession(), 'crm/delete', {})).rejects.toMatchObject({
    code: 'POLICY_UNAVAILABLE',
    message: 'approvals is not running',
  });
});

test('many at once are each answered for themselves', async () => {
  const session = await openSession();
  const ask = ingress.batcher(policyDecide);
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, i) =>
      ask(call(session, 'fs/write', { path: i % 3 === 0 ? '/etc' : `/srv/box/${i}` })),
    ),
  );
  expect(answers.map((each) => each.decision.code)).toEqual(
    Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 'ARGUMENT_NOT_ALLOWED' : 'OK')),
  );
  expect(new Set(answers.flatMap((each) => each.permit?.claims.id ?? [])).size).toBe(200);
});

test('a held session denies until it is released', async () => {
  const session = await openSession();
  const hold = (held: boolean) => ingress.ask(policyHold, { v: 1, ...who, session, call: 'call_000000000000', held });
  await hold(true);
  expect((await decide(session, 'crm/list', {})).decision).toMatchObject({ code: 'POLICY_DENIED' });
  await hold(false);
  expect((await decide(session, 'crm/list', {})).decision.code).toBe('OK');
});

test('visible are the tools that some grant may allow', async () => {
  const { tools } = await ingress.ask(policyVisible, { v: 1, ...who });
  expect(tools.map((each) => each.name)).toEqual(['crm/delete', 'crm/list', 'fs/write']);
  expect((await ingress.ask(policyVisible, { v: 1, ...who, agent: 'other' })).tools).toEqual([]);
});

test('POLICY_UNAVAILABLE while Redis is away, decided again when it is back', async () => {
  const session = await openSession();
  await ground.redis.stop();
  await expect(decide(session, 'crm/list', {})).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  await ground.redis.start();
  const code = () =>
    decide(session, 'crm/list', {}).then(
      (answer) => answer.decision.code,
      (error: unknown) => (error instanceof AgentGateError ? error.code : 'thrown'),
    );
  await expect.poll(code, { timeout: 10_000 }).toBe('OK');
});

test('what happened is in evidence: the revision before any decision, and each session', async () => {
  const session = await openSession();
  const { policy } = await decide(session, 'crm/list', {});
  const events: { type: string; subject: string; data: Record<string, unknown> }[] = [];
  const audit = await ground.connect('audit-log');
  const consumption = audit.consume('AUDIT', auditConsumer.name, {
    maxMessages: 100,
    onMessages: async (messages) => {
      for (const message of messages) {
        const batch = JSON.parse(Buffer.from(message.data).toString('utf8')) as { events: string[] };
        events.push(...batch.events.map((text) => JSON.parse(text) as (typeof events)[number]));
      }
    },
  });
  await expect.poll(() => events.some((event) => event.subject === session), { timeout: 10_000 }).toBe(true);
  await consumption.close();
  expect(events[0]).toMatchObject({ type: 'agentgate.policy.activated.v1', data: policy });
  expect(events.find((event) => event.subject === session)).toMatchObject({
    type: 'agentgate.session.opened.v1',
    tenant: 'default',
    agent: 'demo',
    session,
    data: { session, purpose: 'tidy up' },
  });
});

test('drains on SIGTERM, and refuses to start with a grant that cannot be enforced', async () => {
  const before = child;
  before?.kill('SIGTERM');
  await expect.poll(() => before?.exitCode, { timeout: 10_000 }).toBe(0);
  const wrong = `${ground.dir}/wrong.yaml`;
  writeFileSync(wrong, config.replace('under: /srv/box', 'under: "/srv/../etc"'));
  const { ended } = await start(wrong);
  expect(await ended).toBe(1);
  expect(output).toContain(
    `${wrong}:8: grants/0/where/~1path/under: \\"/srv/../etc\\" cannot be a path prefix: it holds a \\"..\\" segment`,
  );
}, 30_000);
