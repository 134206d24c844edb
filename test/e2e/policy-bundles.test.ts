import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent } from '../parties.ts';
import { replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';

// A rule is changed on a gate that serves: built, tested, pushed, activated, taken back, all by the command.

const config = (effect: string) => `v: 1
tenants: { default: { agents: { demo: {} } } }
engineers: [ann]
servers:
  probe: { stdio: { command: "${process.execPath}", args: ["${fileURLToPath(new URL('../bench/mcp-echo.ts', import.meta.url))}"] } }
grants:
  - { id: echoes, to: { agents: [demo] }, tools: [probe/echo], effect: ${effect} }
`;

let stack: Stack;
let agent: Agent;
let session: string;

const { ask } = createCommand(() => stack.home, 90_000);
const policy = (...args: string[]) =>
  ask<Record<string, unknown> & { replicas: { status: string }[] }>('policy', ...args);
const call = async () => {
  const { status, code } = await agent.call(session, 'probe/echo', { text: 'hello' });
  return `${status} ${code}`;
};
/** A machine that is busy answers `unavailable` now and then; never the other decision. */
const decides = async (wanted: string) => {
  const seen = new Set<string>();
  const look = async () => {
    const told = await call();
    if (!told.startsWith('unavailable')) seen.add(told);
    return told;
  };
  await expect.poll(look, { timeout: 30_000, interval: 500 }).toBe(wanted);
  expect([...seen]).toEqual([wanted]);
};
/** A bundle of the same configuration in which the one grant has another effect. */
const build = async (version: number, effect: string) => {
  const file = join(stack.dir, `gate-${version}.yaml`);
  const tests = join(stack.dir, `tests-${version}.yaml`);
  const out = join(stack.dir, `policy-${version}.tar.gz`);
  writeFileSync(file, config(effect));
  const want = effect === 'deny' ? '{ action: deny }' : '{ action: allow, rule: echoes }';
  writeFileSync(
    tests,
    `{ v: 1, cases: [{ name: echo, agent: { name: demo }, call: { tool: probe/echo }, want: ${want} }] }`,
  );
  const built = await policy(
    'build',
    '--config',
    file,
    '--tests',
    tests,
    '--bundle-version',
    String(version),
    '--out',
    out,
  );
  expect(built).toMatchObject({ code: 0 });
  return out;
};

beforeAll(async () => {
  stack = await startStack({ config: () => config('allow') });
  agent = await openAgent(stack);
  session = await agent.open('echo');
});
afterAll(() => stack?.stop());

test('a pushed policy decides from its activation on, and is taken back', async () => {
  await decides('ok OK');
  const bundle = await build(1, 'deny');
  expect(await build(1, 'deny').then((again) => readFileSync(again).equals(readFileSync(bundle)))).toBe(true);
  expect((await policy('test', bundle)).answer).toMatchObject({ version: 1, cases: 2 });
  expect((await policy('push', bundle)).answer).toMatchObject({ status: 'pushed', version: 1 });
  expect((await policy('push', bundle)).answer).toMatchObject({ status: 'already_pushed', version: 1 });
  await decides('ok OK');
  const activated = await policy('activate', '1', '--reason', 'echoes are over');
  expect(activated).toMatchObject({ code: 0, answer: { status: 'activated', version: 1 } });
  expect(activated.answer.replicas.map(({ status }) => status)).toEqual(['confirmed']);
  await decides('denied POLICY_DENIED');
  const back = await policy('rollback', '--as', 'operator', '--reason', 'not yet');
  expect(back).toMatchObject({ code: 0, answer: { status: 'activated', version: 0 } });
  await decides('ok OK');
}, 240_000);

test('only rollback brings an older version back', async () => {
  await policy('push', await build(3, 'allow'));
  await policy('push', await build(2, 'deny'));
  expect((await policy('activate', '3', '--as', 'ann', '--reason', 'newer')).code).toBe(0);
  const older = await policy('activate', '2', '--reason', 'older');
  expect(older.code).toBe(1);
  expect(older.answer.error).toBe(
    'FIELD_INVALID: /version: version 2 is not newer than 3, which is active; only rollback brings an older one back',
  );
  const never = await policy('rollback', '--to', '2', '--reason', 'older');
  expect(never.answer.error).toBe('FIELD_INVALID: /version: version 2 was never active; activate it');
  expect((await policy('rollback', '--to', '1', '--reason', 'as it was')).answer.status).toBe('activated');
  await decides('denied POLICY_DENIED');
}, 240_000);

test('a replica that is frozen during an activation is named, and decides nothing until it has the active policy', async () => {
  const replica = await replicate(stack, 'policy');
  try {
    // Each hears of the other with its next heartbeat, and any of the two may answer.
    let inARow = 0;
    const bothKnow = async () => {
      const { answer } = await policy('history');
      inARow = answer.replicas.length === 2 ? inARow + 1 : 0;
      return inARow;
    };
    await expect.poll(bothKnow, { timeout: 60_000, interval: 300 }).toBeGreaterThan(8);
    process.kill(stack.pid('policy'), 'SIGSTOP');
    // Until NATS has given it up, half of what is asked goes to the one that sleeps.
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    const activated = await policy('activate', '2', '--reason', 'while one sleeps');
    expect(activated).toMatchObject({ code: 2, answer: { status: 'incomplete', version: 2 } });
    expect(activated.answer.replicas.map(({ status }) => status).sort()).toEqual(['confirmed', 'silent']);
  } finally {
    process.kill(stack.pid('policy'), 'SIGCONT');
    await replica.kill('SIGTERM');
  }
  await decides('denied POLICY_DENIED');
}, 240_000);

test('a policy service comes up with the active version', async () => {
  const was = stack.pid('policy');
  stack.kill('policy', 'SIGKILL');
  await stack.restarted('policy', was);
  const { answer } = await policy('history');
  expect(answer).toMatchObject({ active: { version: 2 } });
  await decides('denied POLICY_DENIED');
}, 240_000);

test('evidence says who did what', async () => {
  const evidence = await readEvidence(stack);
  await expect.poll(() => evidence.all('policy.rejected').length, { timeout: 20_000 }).toBeGreaterThan(0);
  expect(evidence.all('policy.pushed').map(({ data }) => `${data.version} ${data.by}`)).toEqual([
    '1 engineer',
    '3 engineer',
    '2 engineer',
  ]);
  const activated = evidence.all('policy.activated').map(({ data }) => `${data.action} ${data.version} ${data.by}`);
  expect(activated).toEqual(
    expect.arrayContaining([
      'activate 1 engineer',
      'rollback 0 operator',
      'activate 3 ann',
      'activate 2 engineer',
      'start 2 engineer',
    ]),
  );
  const rejected = await eventually('the refusal is recorded', () => evidence.all('policy.rejected')[0]);
  expect(rejected.data).toMatchObject({ stage: 'activate', version: 2, by: 'engineer' });
  await evidence.close();
});
