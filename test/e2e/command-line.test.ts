import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;

const { run, ask } = createCommand(() => stack.home);

const killsOf = async (agent: string) =>
  ((await ask('kills')).answer.kills as { scope: { id?: string }; epoch: number }[]).filter(
    ({ scope }) => scope.id === agent,
  );

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());

test('status shows every service healthy, and says so by its exit code', async () => {
  const { code, answer } = await ask('status');
  const services = answer.services as { service: string; healthy: boolean; pid: number }[];
  expect(services.map((s) => s.service).sort()).toEqual(
    ['nats-server', 'redis-server', 'witness', ...Object.keys(stack.status.metrics)].sort(),
  );
  expect({ code, unhealthy: services.filter((s) => !s.healthy) }).toEqual({ code: 0, unhealthy: [] });
  const people = await run('status');
  // In a pipe there is no colour.
  expect(people.out).not.toContain('\u001b');
});

test('call, kill, kills and lift do what they say, and their exit codes too', async () => {
  const opened = await ask('session', 'open', '--purpose', 'the command line');
  const session = String(opened.answer.session);
  const call = (text: string) => ask('call', 'probe/echo', `text=${text}`, '--session', session);
  expect(await call('by hand')).toMatchObject({ code: 0, answer: { status: 'ok', session } });
  const killed = await ask('kill', 'session', session, '--reason', 'by hand');
  expect(killed).toMatchObject({ code: 0, answer: { contained: true, scope: { kind: 'session', id: session } } });
  expect(await call('killed by hand')).toMatchObject({ code: 1, answer: { status: 'killed', code: 'KILLED_SESSION' } });
  expect(await ask('kills')).toMatchObject({ code: 0, answer: { kills: [{ reason: 'by hand', by: 'operator' }] } });
  const lift = () => ask('lift', 'session', session, '--reason', 'by hand');
  expect(await lift()).toMatchObject({ code: 0, answer: { status: 'lifted' } });
  expect(await lift()).toMatchObject({ code: 1, answer: { status: 'not_killed' } });
  expect(await call('lifted by hand')).toMatchObject({ code: 0 });
});

test('kill session --all-of-agent kills the agent whose session it is, and nobody where nobody knows the session', async () => {
  const [one, other] = [(await ask('session', 'open')).answer.session, (await ask('session', 'open')).answer.session];
  const all = (session: string, ...more: string[]) =>
    run('kill', 'session', session, '--all-of-agent', '--reason', 'all of it', ...more);
  const unknown = await all('ses_nobody0000');
  expect(unknown).toMatchObject({ code: 1, out: '' });
  expect(unknown.err).toContain('nothing was killed: UNKNOWN_SESSION: session ses_nobody0000 is not known');
  expect((await all(String(one), '--tenant', 'acme')).err).toContain('is not of tenant acme');
  expect((await run('kill', 'agent', 'demo', '--all-of-agent', '--reason', 'x')).err).toContain('goes with a session');
  expect(await ask('kills')).toMatchObject({ answer: { kills: [] } });
  const killed = await all(String(one));
  expect(killed.code).toBe(0);
  expect(killed.out).toContain(`session ${one} is of agent demo of tenant default`);
  expect(await ask('kills')).toMatchObject({
    answer: { kills: [{ scope: { kind: 'agent', id: 'demo', tenant: 'default' }, reason: 'all of it' }] },
  });
  const call = () => ask('call', 'probe/echo', 'text=of the agent', '--session', String(other));
  expect(await call()).toMatchObject({ code: 1, answer: { code: 'KILLED_AGENT' } });
  expect(await ask('lift', 'agent', 'demo', '--reason', 'by hand')).toMatchObject({ code: 0 });
  expect(await call()).toMatchObject({ code: 0 });
});

test('a kill tells of each point as it confirms, then of the whole; a frozen point is named, and the exit code is 2', async () => {
  const session = String((await ask('session', 'open')).answer.session);
  const kill = () => run('kill', 'session', session, '--reason', 'told live');
  const whole = await kill();
  const ticks = whole.out.split('\n').filter((line) => line.includes('✓'));
  expect(ticks.map((line) => line.trim().split(' ')[1]).sort()).toEqual([
    'approvals',
    'credential-broker',
    'ingress',
    'tool-runner',
  ]);
  // The points first, as they came; what all of it amounts to last.
  expect(whole.out.indexOf('contained:')).toBeGreaterThan(whole.out.lastIndexOf('✓'));
  expect(whole.code).toBe(0);
  stack.kill('approvals', 'SIGSTOP');
  try {
    const partly = await kill();
    expect(partly.out).toMatch(/ordered, NOT contained[\s\S]*✗ approvals \S+ did not confirm/);
    expect(partly.code).toBe(2);
  } finally {
    stack.kill('approvals', 'SIGCONT');
  }
});

test('denied calls name the rule and the argument', async () => {
  const { code, out } = await run('call', 'probe/write', '{"path":"/etc/passwd","text":"x"}');
  expect(code).toBe(1);
  expect(out).toMatch(/denied/);
  expect(out).toMatch(/\/path/);
  expect(out).toMatch(/box/);
});

test('evidence shows a call that was made', async () => {
  const { answer } = await ask('call', 'probe/echo', 'text=look me up');
  const call = String(answer.call);
  await eventually('it is shown', async () => {
    const shown = await run('evidence', 'show', call);
    return shown.code === 0 && shown.out.includes('call.decided') && shown.out.includes('call.completed');
  });
});

test('an agent that is added works at once; one that is removed is disconnected and does not come back', async () => {
  const added = await ask('agent', 'add', 'fresh', '--label', 'dev');
  const files = ['creds', 'token'].map((ending) => join(stack.home, 'creds', `agent-fresh.${ending}`));
  const [credsFile, token] = files;
  expect(added).toMatchObject({ code: 0, answer: { tenant: 'default', agent: 'fresh', creds: credsFile, token } });
  expect(files.map((file) => existsSync(file))).toEqual([true, true]);
  const creds = stack.creds('agent-fresh');
  const fresh = await openAgent(stack, 'agent-fresh');
  const session = await eventually('policy knows it', () => fresh.open());
  expect((await fresh.call(session, 'probe/echo', { text: 'fresh' })).status).toBe('ok');
  expect(await ask('agent', 'add', 'fresh')).toMatchObject({ code: 1 });
  const login = () =>
    connect({
      servers: stack.status.nats,
      authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
      reconnect: false,
    });
  const connection = await login();
  let isClosed = false;
  connection.closed().then(
    () => {
      isClosed = true;
    },
    () => {},
  );
  expect(await ask('agent', 'rm', 'fresh')).toMatchObject({ code: 0 });
  await eventually('it is disconnected', () => isClosed, 2_000);
  await expect(login()).rejects.toThrow();
  expect(files.map((file) => existsSync(file))).toEqual([false, false]);
  await stack.restart();
  await expect(login()).rejects.toThrow();
  expect(files.map((file) => existsSync(file))).toEqual([false, false]);
});

test('what a removed agent had in flight is stopped, which is evidence, and its name can be given anew', async () => {
  await ask('agent', 'add', 'busy', '--label', 'dev');
  const busy = await openAgent(stack, 'agent-busy');
  const session = await eventually('policy knows it', () => busy.open());
  const running = busy.call(session, 'probe/slow', { ms: 20_000, tag: 'busy' }).catch(() => undefined);
  await eventually('the call runs', () => stack.probe.starts('busy') === 1);
  const { code, answer } = await ask('agent', 'rm', 'busy');
  expect([code, answer]).toMatchObject([
    0,
    { removed: true, kill: { scope: { kind: 'agent', id: 'busy' }, contained: true, calls: [expect.anything()] } },
  ]);
  await running;
  await eventually('the tool was stopped', () => stack.probe.has('stopped', 'busy'), 2_000);
  const evidence = await readEvidence(stack);
  const order = await eventually('the order is in EVIDENCE', () =>
    evidence.all('kill.ordered').find(({ agent }) => agent === 'busy'),
  );
  expect(order.data).toMatchObject({ reason: 'the agent was removed', by: 'operator' });
  await evidence.close();
  // The order ends by itself, long before somebody is surprised that the new agent is refused.
  await ask('agent', 'add', 'busy', '--label', 'dev');
  const anew = await openAgent(stack, 'agent-busy');
  await eventually('the name works again', () => anew.open(), 20_000);
  expect(await anew.call(session, 'probe/echo', { tag: 'anew' })).toMatchObject({ code: 'UNKNOWN_SESSION' });
});

test('where a point does not confirm that a removed agent was stopped, its kill stands until it is lifted', async () => {
  await ask('agent', 'add', 'stuck', '--label', 'dev');
  stack.kill('approvals', 'SIGSTOP');
  try {
    expect(await ask('agent', 'rm', 'stuck')).toMatchObject({ code: 2, answer: { removed: true } });
  } finally {
    stack.kill('approvals', 'SIGCONT');
  }
  const standing = await killsOf('stuck');
  expect(standing).toMatchObject([{ reason: 'the agent was removed' }]);
  expect(standing[0]).not.toHaveProperty('expires_at');
  expect(await ask('lift', 'agent', 'stuck', '--reason', 'it is back')).toMatchObject({ code: 0 });
});

test('where nobody can kill it the agent is shut out all the same, and removing it again does the rest', async () => {
  await ask('agent', 'add', 'left', '--label', 'dev');
  const left = await openAgent(stack, 'agent-left');
  const session = await eventually('policy knows it', () => left.open());
  left.call(session, 'probe/slow', { ms: 20_000, tag: 'left' }).catch(() => undefined);
  await eventually('the call runs', () => stack.probe.starts('left') === 1);
  const operator = join(stack.home, 'creds', 'operator.creds');
  renameSync(operator, `${operator}.aside`);
  try {
    expect(await ask('agent', 'rm', 'left')).toEqual({
      code: 1,
      answer: {
        error: expect.stringMatching(
          /^agent left of tenant default is not wholly removed: killing it failed \(nobody is named operator: .*\); it is shut out, but what it had in flight may go on; agent rm again does the rest$/,
        ),
      },
    });
  } finally {
    renameSync(`${operator}.aside`, operator);
  }
  expect((await ask('agent', 'list')).answer.agents).not.toContainEqual(expect.objectContaining({ agent: 'left' }));
  expect(stack.probe.has('stopped', 'left')).toBe(false);
  expect(await ask('agent', 'rm', 'left')).toMatchObject({
    code: 0,
    answer: { removed: true, kill: { contained: true, calls: [expect.anything()] } },
  });
  await eventually('the tool was stopped', () => stack.probe.has('stopped', 'left'), 2_000);
  expect(await ask('agent', 'rm', 'never')).toEqual({
    code: 1,
    answer: { error: 'no agent is named never in tenant default' },
  });
});

test('where nats-server does not take the revocation the agent is stopped, and removing it again shuts it out', async () => {
  await ask('agent', 'add', 'half', '--label', 'dev');
  const half = await openAgent(stack, 'agent-half');
  const session = await eventually('policy knows it', () => half.open());
  const creds = stack.creds('agent-half');
  // Where the server keeps the accounts.
  const accounts = join(stack.home, 'run', 'jwt');
  renameSync(accounts, `${accounts}.aside`);
  writeFileSync(accounts, '');
  try {
    const { code, err } = await run('agent', 'rm', 'half');
    expect(code).toBe(1);
    expect(err).toMatch(
      /^agentgate: agent half of tenant default is not wholly removed: revoking it at nats-server failed \(.*\); it is stopped, and its kill stands until it is lifted; agent rm again does the rest\n$/,
    );
  } finally {
    rmSync(accounts);
    renameSync(`${accounts}.aside`, accounts);
  }
  const told = await eventually('it is connected anew', () =>
    half.call(session, 'probe/echo', { text: 'still there' }),
  );
  expect(told).toMatchObject({ code: 'KILLED_AGENT' });
  const [standing] = await killsOf('half');
  expect(standing).toMatchObject({ reason: 'the agent was removed' });
  expect(standing).not.toHaveProperty('expires_at');
  expect(await ask('agent', 'rm', 'half')).toMatchObject({ code: 0, answer: { removed: true } });
  await expect(stack.connect('agent-half', creds)).rejects.toThrow('did not take user half');
  expect(await ask('lift', 'agent', 'half', '--reason', 'it is gone')).toMatchObject({ code: 0 });
});

test('a kill that a person ordered keeps its reason and its end when its agent is removed', async () => {
  await ask('agent', 'add', 'mine', '--label', 'dev');
  expect(await ask('kill', 'agent', 'mine', '--reason', 'it read what it should not')).toMatchObject({ code: 0 });
  const { code, answer } = await ask('agent', 'rm', 'mine');
  expect([code, answer]).toMatchObject([0, { removed: true, kill: { contained: true } }]);
  const [standing, ...others] = await killsOf('mine');
  expect(standing).toMatchObject({
    reason: 'the agent was removed, and killed before by operator: it read what it should not',
  });
  expect(standing).not.toHaveProperty('expires_at');
  expect(others).toEqual([]);
  expect(await ask('lift', 'agent', 'mine', '--reason', 'it is gone')).toMatchObject({ code: 0 });
});

test.each(['*', 'a.b', '>', 'A', '../x', '', 'a b', 'x'.repeat(64)])('no agent can be named %j', async (name) => {
  const { code } = await run('agent', 'add', '--', name);
  expect(code).not.toBe(0);
});

test('a second up in the same home is refused, and the first goes on', async () => {
  const config = String(stack.readStatus().config);
  const { code, err } = await run('up', '--config', config, '--port-base', '45000');
  expect(code).toBe(1);
  expect(err).toMatch(/in use/);
  expect((await run('status')).code).toBe(0);
});

test('a configuration with an unknown key is refused with its line', async () => {
  const file = join(stack.dir, 'wrong.yaml');
  mkdirSync(join(stack.dir, 'other'));
  writeFileSync(file, `${readFileSync(String(stack.readStatus().config), 'utf8')}\nlimit: {}\n`);
  const { code, err, out } = await run('--home', join(stack.dir, 'other'), 'up', '--config', file);
  expect(code).toBe(1);
  expect(err + out).toMatch(/wrong\.yaml:\d+: limit: unknown field/);
});

// Last in this file.
test('Ctrl-C ends everything that was started, tool servers too, and status says that nothing runs', async () => {
  const tool = stack.probe.entries().findLast((e) => e.event === 'up')?.pid;
  const pids = [...Object.values(stack.pids()), stack.pid('nats-server'), stack.pid('redis-server'), Number(tool)];
  for (const pid of pids) expect(() => process.kill(pid, 0)).not.toThrow();
  await stack.halt('SIGINT');
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  expect(existsSync(join(stack.home, 'status.json'))).toBe(false);
  const { code, err } = await run('status');
  expect(code).toBe(1);
  expect(err).toMatch(/nothing runs/);
});
