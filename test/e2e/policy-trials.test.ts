import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CallReply, PolicyDiffAnswer, PolicyException } from '@agentgate/contracts';
import type { ReplayReport } from '@agentgate/policy-engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Replica, replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';

// A stricter rule is tried on the calls that were made, watched beside the active one, and activated; whom it hits is let pass for a while.
// All by the command, on the whole project with two replicas of policy.

const grants = (where = '') => `grants:
  - { id: echoes, to: { labels: [dev] }, tools: [probe/echo], effect: allow${where} }
  - { id: never, to: { agents: [barred] }, tools: ["probe/*"], effect: deny }
`;
const config = (where?: string) => `v: 1
operators: [night]
dual_control: [exception]
tenants:
  default: { agents: { demo: { labels: [dev] }, other: { labels: [dev] }, barred: { labels: [dev] }, bare: {} } }
servers:
  probe: { stdio: { command: "${process.execPath}", args: ["${fileURLToPath(new URL('../bench/mcp-echo.ts', import.meta.url))}"] } }
${grants(where)}`;
const strict = ', where: { /text: { one_of: [hello, goodbye] } }';

let stack: Stack;
let replica: Replica | undefined;
let evidence: EvidenceReader;
const agents = new Map<string, { agent: Agent; session: string }>();

const agentgate = createCommand(() => stack.home, 90_000);
const policy = <T>(...args: string[]) => agentgate.ask<T>('policy', ...args);
const call = async (text: string, who = 'demo'): Promise<CallReply> => {
  const known = agents.get(who);
  if (!known) throw new Error(`${who} has no session`);
  return known.agent.call(known.session, 'probe/echo', { text });
};
const said = async (text: string, who?: string) => {
  const { status, code } = await call(text, who);
  return `${status} ${code}`;
};
const decided = (reply: CallReply) => evidence.event('call.decided', reply.evidence?.decided);
const ruleOf = async (reply: CallReply) => (await decided(reply)).data.decision.rule;
const diff = async () => (await policy<PolicyDiffAnswer>('diff')).answer;
const ask = (as: string, agent: string, time: string) =>
  policy<{ status: string; exception: PolicyException }>(
    ...['except', 'add', '--agent', agent, '--tool', 'probe/echo', '--for', time, '--as', as],
    ...['--owner', 'the release team', '--reason', 'the release is on fire'],
  );
/** One operator asks, and another the same. */
const except = async (agent: string, time: string) => {
  const first = await ask('operator', agent, time);
  expect(first).toMatchObject({ code: 0, answer: { status: 'pending_second' } });
  return ask('night', agent, time);
};

let bundle: string;

beforeAll(async () => {
  stack = await startStack({ config: () => config() });
  replica = await replicate(stack, 'policy');
  evidence = await readEvidence(stack);
  for (const name of ['demo', 'other', 'barred', 'bare']) {
    const agent = await openAgent(stack, `agent-${name}`);
    agents.set(name, { agent, session: await agent.open('echo') });
  }
  const file = join(stack.dir, 'strict.yaml');
  writeFileSync(file, config(strict));
  bundle = join(stack.dir, 'strict.tar.gz');
  const built = await policy('build', '--config', file, '--bundle-version', '1', '--out', bundle);
  expect(built).toMatchObject({ code: 0 });
}, 240_000);
afterAll(async () => {
  await replica?.kill('SIGTERM');
  await stack?.stop();
});

test('a stricter policy is replayed, watched, activated, explained, and excepted from for a while', async () => {
  // Yesterday.
  expect([await said('hello'), await said('rm -rf'), await said('hello', 'other')]).toEqual([
    'ok OK',
    'ok OK',
    'ok OK',
  ]);
  await decided(await call('rm -rf'));

  const html = join(stack.dir, 'report.html');
  const replayed = await policy<ReplayReport>('replay', bundle, '--html', html);
  expect(replayed).toMatchObject({
    code: 2,
    answer: {
      calls: 4,
      replayed: 4,
      same: 2,
      changes: { denied: 2, held: 0, allowed: 0 },
      groups: [{ change: 'denied', rule: 'echoes', agent: 'demo', count: 2 }],
    },
  });
  expect(readFileSync(html, 'utf8')).toContain('does not satisfy');
  const ofOther = await policy<ReplayReport>('replay', bundle, '--agent', 'other');
  expect(ofOther).toMatchObject({ code: 0, answer: { calls: 1, same: 1 } });
  const ofFolder = await policy<ReplayReport>('replay', bundle, '--log', stack.status.log.dir);
  expect(ofFolder).toMatchObject({ code: 2, answer: { calls: 4, changes: { denied: 2 }, refused: 0 } });

  expect((await policy('push', bundle)).code).toBe(0);
  const shadowing = await policy('shadow', '1', '--reason', 'does it hit anybody?');
  expect(shadowing).toMatchObject({ code: 0, answer: { status: 'shadowing', version: 1 } });
  await eventually('both replicas have the shadow', async () => {
    const { replicas } = await diff();
    return replicas.length === 2 && replicas.every(({ state, version }) => state === 'on' && version === 1);
  });
  const following = spawn(process.execPath, [cli, '--home', stack.home, '--json', 'policy', 'diff', '--follow']);
  let followed = '';
  following.stdout.on('data', (chunk) => {
    followed += String(chunk);
  });
  const watched = await call('rm -rf');
  expect(watched.status).toBe('ok');
  expect(await said('hello')).toBe('ok OK');
  await eventually('the difference is told live', () => followed.includes(watched.call ?? 'no call'), 20_000);
  following.kill('SIGINT');
  await eventually('both calls were decided in the shadow', async () => {
    const { replicas } = await diff();
    return replicas.reduce((sum, { totals }) => sum + totals.decided, 0) === 2;
  });
  const seen = await diff();
  expect(seen.differences).toMatchObject([
    {
      call: watched.call,
      active: { action: 'allow', code: 'OK', rule: 'echoes' },
      shadow: { action: 'deny', code: 'ARGUMENT_NOT_ALLOWED', rule: 'echoes' },
    },
  ]);
  expect(JSON.stringify(seen)).not.toContain('rm -rf');

  const activated = await policy('activate', '1', '--reason', 'it hits whom it should');
  expect(activated).toMatchObject({ code: 0 });
  const off = await policy('shadow', 'off', '--reason', 'it is active');
  expect(off).toMatchObject({ code: 0, answer: { status: 'off' } });
  await eventually('both are in evidence', () => evidence.all('policy.shadowed').length === 2);
  expect(evidence.all('policy.shadowed').map(({ data }) => [data.version, data.by, data.before?.differed])).toEqual([
    [1, 'operator', undefined],
    [undefined, 'operator', 1],
  ]);

  const denied = await call('rm -rf');
  expect(denied).toMatchObject({ status: 'denied', code: 'ARGUMENT_NOT_ALLOWED' });
  await decided(denied);
  const explained = await agentgate.run('policy', 'explain', denied.evidence?.decided ?? '', '--bundle', bundle);
  expect(explained, explained.err).toMatchObject({ code: 2 });
  expect(explained.out).toMatch(/✗ echoes \(allow\) fails: \/text one_of/);
  expect(explained.out).toContain('an argument that satisfies /text one_of ["hello","goodbye"] of grant echoes');

  const added = await except('demo', '10m');
  expect(added).toMatchObject({
    code: 0,
    answer: { status: 'added', exception: { by: 'night', asked_by: 'operator', owner: 'the release team' } },
  });
  const { id } = added.answer.exception;
  await eventually('that it was asked for is in evidence', () => evidence.all('policy.exception_asked').length > 0);
  expect(evidence.all('policy.exception_asked').at(-1)?.data).toMatchObject({ by: 'operator', for_s: 600 });
  const passed = await eventually('every replica knows the exception', async () => {
    const replies = await Promise.all(Array.from({ length: 8 }, () => call('rm -rf')));
    return replies.every(({ status }) => status === 'ok') && replies[0];
  });
  expect(await ruleOf(passed as CallReply)).toBe(`exception/${id}`);
  expect(await said('rm -rf', 'other')).toBe('denied ARGUMENT_NOT_ALLOWED');
  const imagined = ['--tool', 'probe/echo', '--args', '{"text":"rm -rf"}', '--bundle', bundle];
  const standing = await agentgate.run('policy', 'explain', '--agent', 'demo', ...imagined);
  expect(standing, standing.err).toMatchObject({ code: 0, out: expect.stringContaining(`rule exception/${id}`) });
  expect((await agentgate.run('policy', 'explain', '--agent', 'other', ...imagined)).code).toBe(2);
  const was = stack.pid('policy');
  stack.kill('policy', 'SIGKILL');
  await stack.restarted('policy', was);
  await eventually('it lives through a restart', async () => (await said('rm -rf')) === 'ok OK', 20_000);
  expect((await policy<{ exceptions: PolicyException[] }>('except', 'list')).answer.exceptions).toMatchObject([{ id }]);
  expect((await policy('except', 'end', id, '--reason', 'the fire is out')).answer).toMatchObject({ status: 'ended' });
  await eventually('it is over on every replica', async () => {
    const replies = await Promise.all(Array.from({ length: 8 }, () => said('rm -rf')));
    return replies.every((one) => one === 'denied ARGUMENT_NOT_ALLOWED');
  });

  const short = await except('demo', '10s');
  await eventually('it passes for a while', async () => (await said('rm -rf')) === 'ok OK');
  await eventually('it ends by itself', async () => (await said('rm -rf')) === 'denied ARGUMENT_NOT_ALLOWED', 30_000);
  await eventually('evidence says so', () =>
    evidence
      .all('policy.exception_ended')
      .some(({ data }) => data.exception === short.answer.exception.id && data.why === 'expired'),
  );
  expect(evidence.all('policy.exception_ended').find(({ data }) => data.exception === id)?.data).toMatchObject({
    why: 'operator',
    by: 'operator',
    reason: 'the fire is out',
  });
}, 300_000);

describe('an exception overrides nothing that stops a call', () => {
  test('a deny', async () => {
    expect((await except('barred', '10m')).code).toBe(0);
    expect(await said('hello', 'barred')).toBe('denied POLICY_DENIED');
    const { agent } = agents.get('barred') as { agent: Agent };
    expect((await agent.ask('tools', { v: 1 })).tools).toEqual([]);
  });

  test('a kill', async () => {
    expect((await except('bare', '10m')).code).toBe(0);
    await eventually('it passes', async () => (await said('hello', 'bare')) === 'ok OK');
    expect((await agentgate.run('kill', 'agent', 'bare', '--reason', 'a test')).code).toBe(0);
    expect(await said('hello', 'bare')).toBe('killed KILLED_AGENT');
    expect((await except('bare', '10m')).code).toBe(0);
    expect(await said('hello', 'bare')).toBe('killed KILLED_AGENT');
  });

  test('whoever is no operator makes none', async () => {
    const before = (await policy<{ exceptions: object[] }>('except', 'list')).answer.exceptions.length;
    for (const as of ['engineer', 'agent-demo']) {
      const { code } = await policy(
        ...['except', 'add', '--agent', 'demo', '--tool', 'probe/echo', '--for', '10m'],
        ...['--reason', 'mine', '--as', as],
      );
      expect(code, as).toBe(1);
    }
    expect((await policy<{ exceptions: object[] }>('except', 'list')).answer.exceptions).toHaveLength(before);
  });
});

test('check names grants that never match by file and line, and tools that nobody may call', async () => {
  const file = join(stack.dir, 'dead.yaml');
  writeFileSync(
    file,
    `${config()}  - id: typo
    to: { agents: [dmeo] }
    tools: [probe/echo]
    effect: allow
`,
  );
  const { code, out } = await agentgate.run('policy', 'check', '--config', file);
  expect(code).toBe(2);
  expect(out).toMatch(/dead\.yaml:11: grant typo: no agent: there is no agent dmeo/);
  writeFileSync(file, config().replace('tools: [probe/echo], effect: allow', 'tools: [probe/ehco], effect: allow'));
  const wrong = await agentgate.run('policy', 'check', '--config', file);
  expect(wrong.out).toMatch(/dead\.yaml:\d+: grant echoes: no tool: no server lists probe\/ehco/);
  expect(wrong.out).toContain('no grant reaches probe/echo');
  expect((await agentgate.run('policy', 'check', bundle)).code).toBe(0);
});
