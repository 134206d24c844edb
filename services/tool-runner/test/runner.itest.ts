import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Batcher, Bus } from '@agentgate/bus';
import { serveTools, type ToolServer } from '@agentgate/client';
import {
  catalogTool,
  type ExecuteAnswer,
  type ExecuteAsk,
  type KillRecord,
  killPulse,
  killSubject,
  pointAlive,
  pointContain,
  runnerCancel,
  runnerExecute,
  type Scope,
  scopeKey,
  toolKey,
} from '@agentgate/contracts';
import { verifyingKey } from '@agentgate/evidence';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, handlers, leases, secret, serveBroker, toolCalls } from './fixtures/deployment.ts';
import { until } from './fixtures/fakes.ts';
import { type PermittedOptions, permitted } from './fixtures/permitted.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

let ground: Ground;
let ingress: Bus;
let killSwitch: Bus;
let execute: Batcher<ExecuteAsk, ExecuteAnswer>;
let process_: ChildProcess;
let tools: ToolServer;
let output = '';
let epoch = 0;
/** Of the tools as they are listed now. */
const digests = new Map<string, string>();
const pulses: NodeJS.Timeout[] = [];

const startRunner = async (more: Record<string, string | undefined> = {}): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      AGENTGATE_NATS_URL: ground.natsUrl,
      AGENTGATE_NATS_CREDS: ground.credsFile('tool-runner'),
      AGENTGATE_KEY: ground.keyFile('tool-runner'),
      AGENTGATE_TRUST: ground.trustFile,
      AGENTGATE_CONFIG: ground.configFile,
      AGENTGATE_REDIS_URL_FILE: ground.redisUrlFile('tool-runner'),
      AGENTGATE_WITNESSES: ground.deployment.witnessesFile,
      AGENTGATE_STATE_DIR: join(ground.dir, 'runner'),
      SHOULD_NOT_LEAK: 'x',
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const from = output.length;
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  await until(() => output.slice(from).includes('"msg":"ready"') || child.exitCode !== null, 20_000);
  if (child.exitCode !== null) throw new Error(output.slice(from));
  return child;
};
const stopRunner = (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode !== null) return Promise.resolve(child.exitCode);
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  return gone;
};

/** Plays the kill-switch: an order in the stream, fsynced. */
const order = async (scope: Scope, state: KillRecord['state'] = 'killed'): Promise<number> => {
  const record: KillRecord = { v: 1, state, scope, reason: 'test', by: 'operator', at: new Date().toISOString() };
  epoch = (await killSwitch.publishDurable(killSubject(scopeKey(scope)), JSON.stringify(record), { timeoutMs: 2_000 }))
    .seq;
  return epoch;
};
const id = () => randomBytes(8).toString('hex');
const ask = (tool: string, args: Record<string, unknown> = {}, more: Partial<PermittedOptions> = {}) => {
  const at = Date.now();
  const { call, claims, ...rest } = more;
  return permitted({
    now: at,
    key: ground.key('policy'),
    call: { call: `call_${id()}`, tool, arguments: args, epoch, ...call },
    claims: { id: `prm_${id()}`, schema_digest: digests.get(tool) ?? '0'.repeat(64), ...claims },
    ...rest,
  });
};
const run = (a: ExecuteAsk) => execute(a, { timeoutMs: 15_000 });
const waitFor = (tool: string) =>
  until(() => output.includes(`"server":"${tool}","msg":"a tool server is connected"`), 15_000);

beforeAll(async () => {
  // Where the server's notes go is known only once the ground has a folder.
  ground = await startGround({ config: config('/dev/null') });
  writeFileSync(ground.configFile, config(join(ground.dir, 'notes')));
  ingress = await ground.connect('ingress');
  killSwitch = await ground.connect('kill-switch');
  serveBroker(await ground.connect('credential-broker'));
  pulses.push(
    setInterval(() => killSwitch.notify(killPulse, { v: 1, instance: 'kill-switch-1', epoch, at: Date.now() }), 200),
  );
  execute = ingress.batcher(runnerExecute);
  await (await ground.connect('policy')).bucket('TOOLS').watch(({ value, operation }) => {
    if (operation !== 'PUT') return;
    const { name, schema_digest } = catalogTool.parse(JSON.parse(new TextDecoder().decode(value)));
    digests.set(name, schema_digest);
  });
  tools = await serveTools({
    servers: ground.natsUrl,
    creds: ground.creds('tool-mytools'),
    server: 'mytools',
    tools: handlers,
  });
  const keyed = await serveTools({
    servers: ground.natsUrl,
    creds: ground.creds('tool-keyedtools'),
    server: 'keyedtools',
    tools: handlers,
  });
  closers.push(() => keyed.close());
  process_ = await startRunner();
  await Promise.all(['fixture', 'keyed', 'mytools', 'keyedtools'].map(waitFor));
  await until(() => ['fixture/echo', 'keyed/env', 'mytools/whoami', 'keyedtools/whoami'].every((t) => digests.has(t)));
  // Until the first pulse nobody vouches for its kill view.
  while ((await run(ask('mytools/echo', { text: 'first' }))).code === 'KILL_SWITCH_UNAVAILABLE')
    await new Promise((resolve) => setTimeout(resolve, 50));
});
const closers: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const timer of pulses) clearInterval(timer);
  if (process_) await stopRunner(process_);
  await tools?.close();
  for (const close of closers) await close();
  await ground?.stop();
});

const textOf = (answer: ExecuteAnswer) =>
  (answer.result as { content: { text: string }[] } | undefined)?.content[0]?.text;

describe('runs a permitted call', () => {
  test('at a stdio server and at a server on NATS', async () => {
    expect(await run(ask('fixture/echo', { text: 'over stdio' }))).toMatchObject({
      outcome: 'ok',
      result: { content: [{ type: 'text', text: 'over stdio' }] },
    });
    expect(await run(ask('mytools/echo', { text: 'over NATS' }))).toMatchObject({
      outcome: 'ok',
      result: { content: [{ type: 'text', text: 'over NATS' }] },
    });
  });

  test('many at once, each with its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => run(ask('mytools/echo', { text: `n${i}` }))),
    );
    expect(answers.filter((a) => a.outcome !== 'ok')).toEqual([]);
    expect(answers.map(textOf)).toEqual(Array.from({ length: 200 }, (_, i) => `n${i}`));
  });

  test('although one of the servers is down, whose tools are unavailable', async () => {
    expect(await run(ask('absent/echo', { text: 'a' }))).toMatchObject({
      outcome: 'refused',
      code: 'UPSTREAM_UNAVAILABLE',
      reason: expect.stringContaining('absent cannot be reached'),
    });
  });

  test('and caps its result', async () => {
    expect(await run(ask('fixture/big', { bytes: 100_000 }))).toMatchObject({
      outcome: 'tool_error',
      reason: expect.stringMatching(/^the result has \d+ bytes, at most 65536 are allowed$/),
    });
  });

  test('with a bad argument not at all, naming it', async () => {
    expect(await run(ask('fixture/echo', { text: 5 }))).toMatchObject({
      outcome: 'refused',
      code: 'FIELD_INVALID',
      reason: '/arguments/text: must be string',
    });
  });
});

describe('a compromised ingress', () => {
  test('runs nothing with a permit that another service signed', async () => {
    expect(await run(ask('fixture/echo', { text: 'forged' }, { key: ground.key('ingress') }))).toMatchObject({
      outcome: 'refused',
      code: 'POLICY_DENIED',
      reason: 'permit: policy did not sign it',
    });
  });

  test('runs a permit once, also on the runner that was started anew', async () => {
    const once = ask('fixture/echo', { text: 'once' });
    expect(await run(once)).toMatchObject({ outcome: 'ok' });
    expect(await run(once)).toMatchObject({
      outcome: 'refused',
      code: 'POLICY_DENIED',
      reason: 'permit: it was used already',
    });
    expect(await run({ ...once, call: `call_${id()}` })).toMatchObject({
      outcome: 'refused',
      reason: 'permit: it is for another call',
    });
    const second = await startRunner();
    try {
      // Either of the two may get it.
      for (let i = 0; i < 6; i++)
        expect(await run(once)).toMatchObject({
          outcome: 'refused',
          code: expect.stringMatching(/^(POLICY_DENIED|RUNNER_UNAVAILABLE)$/),
        });
    } finally {
      expect(await stopRunner(second)).toBe(0);
    }
    const notes = readFileSync(join(ground.dir, 'notes'), 'utf8');
    expect(notes.split('\n').filter((line) => line.includes('"once"'))).toHaveLength(1);
    expect(notes).not.toContain('forged');
  });
});

describe('the catalog', () => {
  test('holds each tool as its server described it, and evidence tells of it once', async () => {
    const bucket = ingress.bucket('TOOLS');
    await expect(bucket.get(toolKey('fixture/echo'))).rejects.toThrow();
    const policy = await ground.connect('policy');
    const entry = await policy.bucket('TOOLS').get(toolKey('fixture/echo'));
    expect(catalogTool.parse(JSON.parse(new TextDecoder().decode(entry?.value)))).toMatchObject({
      name: 'fixture/echo',
      annotations: { readOnlyHint: true },
    });
  });

  test('learns of a tool that a server adds', async () => {
    const policy = await ground.connect('policy');
    const seen: string[] = [];
    await policy.bucket('TOOLS').watch((e) => void seen.push(Buffer.from(e.key, 'base64url').toString()));
    expect(await run(ask('fixture/grow'))).toMatchObject({ outcome: 'ok' });
    await until(() => seen.some((name) => name.startsWith('fixture/grown-')), 5_000);
  });
});

describe('a credential', () => {
  const leased = { claims: { obligations: { credential: { name: 'crm-key' } } } };

  test('reaches a stdio server in its environment, is taken out of the result, and its lease is released', async () => {
    const one = ask('keyed/env', {}, leased);
    const answer = await run(one);
    expect(answer).toMatchObject({
      outcome: 'ok',
      lease: `lease/${one.permit.claims.id}`,
      redacted: ['/content/0/text'],
    });
    expect(JSON.parse(textOf(answer) ?? '').API_KEY).toBe('[redacted]');
    await until(() => leases.released.includes(`lease/${one.permit.claims.id}`));
  });

  test('reaches a server on NATS in its field', async () => {
    const answer = await run(ask('keyedtools/whoami', {}, leased));
    expect(toolCalls.find((c) => c.tool === 'whoami')?.credential).toEqual({ token: `Bearer ${secret}` });
    expect(textOf(answer)).toBe('{"token":"Bearer [redacted]"}');
  });

  test('is asked for with a key that only this runner could name', () => {
    const [given] = leases.given;
    if (!given) return expect.fail('no lease was asked for');
    const said = Buffer.from(`agentgate-runner-key-v1\n${given.runner}\n${given.seal_to}\n${given.permit.claims.id}\n`);
    expect(verifyingKey(ground.key('tool-runner').publicKey).verify(said, Buffer.from(given.sig, 'base64'))).toBe(true);
  });

  test('is in no log', () => {
    expect(output).toContain('"msg":"ready"');
    expect(output).not.toContain(secret);
    expect(output).not.toContain(Buffer.from(secret).toString('base64'));
  });
});

describe('ending a call', () => {
  const cancel = (call: string) =>
    ingress.broadcast(runnerCancel, { v: 1, call, why: 'cancelled' }, { enough: (all) => all.length === 1 });

  test('on NATS is confirmed', async () => {
    const slow = ask('mytools/slow');
    const answer = run(slow);
    const before = toolCalls.length;
    await until(() => toolCalls.length > before);
    expect(await cancel(slow.call)).toMatchObject([{ fate: 'aborted' }]);
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'CANCELLED' });
    expect(toolCalls.at(-1)?.aborted).toBe(true);
  });

  test('over MCP is unknown where the server says nothing, and completed where the result still comes', async () => {
    const started = (n: number) =>
      until(() => readFileSync(join(ground.dir, 'notes'), 'utf8').split('"start"').length > n);
    for (const [tool, fate, outcome] of [
      ['slow', 'unknown', 'unknown'],
      ['stubborn', 'completed', 'ok'],
    ] as const) {
      const before = readFileSync(join(ground.dir, 'notes'), 'utf8').split('"start"').length;
      const one = ask(`fixture/${tool}`, { ms: 5_000 });
      const answer = run(one);
      await started(before);
      expect(await cancel(one.call)).toMatchObject([{ fate }]);
      expect(await answer).toMatchObject({ outcome });
    }
  });

  test('at its deadline', async () => {
    expect(await run(ask('mytools/slow', {}, { call: { deadline: Date.now() + 300 } }))).toMatchObject({
      outcome: 'timeout',
      code: 'TIMEOUT',
    });
  });

  test('by a kill aborts it, tells its fate, and refuses what comes after', async () => {
    const scope: Scope = { kind: 'session', id: 'ses_tokill_0000' };
    const inScope = { call: { session: scope.id as string } };
    const slow = ask('mytools/slow', {}, inScope);
    const before = toolCalls.length;
    const answer = run(slow);
    await until(() => toolCalls.length > before);
    const ordered = await order(scope);
    const began = performance.now();
    const [point] = await killSwitch.broadcast(
      pointContain,
      { v: 1, epoch: ordered, scope },
      { enough: (all) => all.length === 1 },
    );
    expect(performance.now() - began).toBeLessThan(400);
    expect(point).toMatchObject({
      service: 'tool-runner',
      epoch: ordered,
      calls: [{ call: slow.call, fate: 'aborted' }],
    });
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'KILLED_SESSION' });
    expect(await run(ask('mytools/echo', { text: 'a' }, inScope))).toMatchObject({
      outcome: 'refused',
      code: 'KILLED_SESSION',
    });
    expect(await run(ask('mytools/echo', { text: 'a' }))).toMatchObject({ outcome: 'ok' });
  });

  test('a kill that reaches the runner by the stream alone holds all the same', async () => {
    const scope: Scope = { kind: 'session', id: 'ses_tokill_0001' };
    await order(scope);
    expect(await run(ask('mytools/echo', { text: 'a' }, { call: { session: scope.id as string } }))).toMatchObject({
      outcome: 'refused',
      code: 'KILLED_SESSION',
    });
  });
});

test('says each second that it is there', async () => {
  const heard: string[] = [];
  killSwitch.hear(pointAlive, (body) => void heard.push(`${body.service} ${body.state}`));
  await until(() => heard.length >= 2, 5_000);
  expect(heard[0]).toBe('tool-runner up');
});

describe('fails closed', () => {
  test('when Redis is gone, and works again when it is back', async () => {
    await ground.redis.stop();
    expect(await run(ask('mytools/echo', { text: 'a' }))).toMatchObject({
      outcome: 'refused',
      code: 'RUNNER_UNAVAILABLE',
    });
    await ground.redis.start();
    let answer: ExecuteAnswer | undefined;
    for (let i = 0; i < 50 && answer?.outcome !== 'ok'; i++) {
      answer = await run(ask('mytools/echo', { text: 'a' }));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(answer).toMatchObject({ outcome: 'ok' });
  });

  test('when nobody vouches for the kill view for 3 s', async () => {
    clearInterval(pulses[0]);
    await new Promise((resolve) => setTimeout(resolve, 3_300));
    expect(await run(ask('mytools/echo', { text: 'a' }))).toMatchObject({
      outcome: 'refused',
      code: 'KILL_SWITCH_UNAVAILABLE',
    });
    pulses[0] = setInterval(
      () => killSwitch.notify(killPulse, { v: 1, instance: 'kill-switch-1', epoch, at: Date.now() }),
      200,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await run(ask('mytools/echo', { text: 'a' }))).toMatchObject({ outcome: 'ok' });
  });

  test('and ends in order: the call that runs is told to stop, its children are gone, exit code 0', async () => {
    const slow = ask('mytools/slow', {}, { call: { deadline: Date.now() + 60_000 } });
    const answer = run(slow);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await stopRunner(process_)).toBe(0);
    expect(await answer).toMatchObject({ outcome: 'aborted', code: 'RUNNER_UNAVAILABLE' });
    const pids = readFileSync(join(ground.dir, 'notes'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"up"'))
      .map((line) => JSON.parse(line).pid as number);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });

  test('and takes the homes of its servers along where no folder was given for them', async () => {
    const tmp = join(ground.dir, 'tmp');
    mkdirSync(tmp);
    const runner = await startRunner({ AGENTGATE_STATE_DIR: undefined, TMPDIR: tmp });
    const homes = readdirSync(tmp);
    expect(await stopRunner(runner)).toBe(0);
    expect([homes, readdirSync(tmp)]).toEqual([[expect.stringMatching(/^agentgate-servers-/)], []]);
  });
});
