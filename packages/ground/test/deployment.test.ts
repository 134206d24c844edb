import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, parseConfig } from '@agentgate/contracts';
import { encodeUser } from '@nats-io/jwt';
import { createUser, fromSeed } from '@nats-io/nkeys';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBearer } from '../src/bearer.ts';
import {
  addAgent,
  createDeployment,
  dropCreds,
  GroundError,
  openHome,
  readRoster,
  removeAgent,
  type Seeds,
} from '../src/index.ts';
import { mintBearer, mintUser, newAccountSeed, publicKeyOf, userOfSame } from '../src/jwt.ts';
import { layAgent } from '../src/users.ts';

let home: string;
beforeEach(() => {
  home = join(mkdtempSync(join(tmpdir(), 'agentgate-ground-')), 'home');
});
afterEach(() => rmSync(join(home, '..'), { recursive: true, force: true }));

const ports = { nats: 4222, websocket: 9222, redis: 6380 };
const configWith = (agents: string[], tenant = 'default'): Config =>
  parseConfig(
    JSON.stringify({
      v: 1,
      tenants: { [tenant]: { agents: Object.fromEntries(agents.map((a) => [a, { labels: ['dev'] }])) } },
    }),
    '/srv/agentgate.yaml',
  );
const lay = (config = configWith(['demo'])) => createDeployment({ home, config, ports });
/** The token of agent demo, except where it is to say something else. */
const wanted = (seeds: Seeds, more: Partial<Parameters<typeof mintBearer>[0]> & { user: string }) =>
  mintBearer({
    name: 'demo',
    accountSeed: seeds.tenant('default'),
    permissions: { pub: ['agent.demo.>'], sub: ['_INBOX_demo.>'] },
    ...more,
  });
const tagged = (seeds: Seeds, user: string, name: string, tags?: string[]) => {
  const account = fromSeed(new TextEncoder().encode(seeds.tenant('default')));
  const [pub, sub] = [{ allow: ['agent.demo.>'] }, { allow: ['_INBOX_demo.>'] }];
  return encodeUser(name, user, account, { pub, sub, bearer_token: true, ...(tags && { tags }) });
};
const files = (folder = home): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true }).map((e) => join(e.parentPath, e.name));

const fileOf = (user: string) => join(home, 'creds', `${user}.token`);
const tokenOf = (user: string) => {
  const text = readFileSync(fileOf(user), 'utf8');
  return { text, read: readBearer(text.slice(0, -1)) };
};

test('finds the same keys, credentials and passwords, when it is laid a second time', async () => {
  await lay();
  const lasting = files().filter((f) => /\.(creds|token|nk|seed|url|acl)$/.test(f));
  const before = lasting.map((f) => readFileSync(f, 'utf8'));
  await lay();
  expect(lasting.map((f) => readFileSync(f, 'utf8'))).toEqual(before);
  expect(lasting.length).toBeGreaterThan(25);
});

test('lets nobody but the owner in, whatever the umask', async () => {
  const before = process.umask(0);
  try {
    await lay();
  } finally {
    process.umask(before);
  }
  const modes = [home, ...files()].map(
    (f) => [f, statSync(f).isDirectory() ? 0o700 : 0o600, statSync(f).mode & 0o777] as const,
  );
  expect(modes.filter(([, want, got]) => want !== got)).toEqual([]);
});

test('mints a user again for the same key, when its permissions changed', async () => {
  const accountSeed = (await lay()).seeds.core.CORE;
  const first = await mintUser({ name: 'x', accountSeed, permissions: { pub: ['a'], sub: [] } });
  const second = await mintUser({ name: 'x', accountSeed, permissions: { pub: ['b'], sub: [] }, creds: first.creds });
  expect(second.user).toBe(first.user);
  expect(await userOfSame(second.creds, { name: 'x', accountSeed, permissions: { pub: ['b'], sub: [] } })).toBe(
    first.user,
  );
  expect(
    await userOfSame(second.creds, { name: 'x', accountSeed, permissions: { pub: ['a'], sub: [] } }),
  ).toBeUndefined();
  expect(
    await userOfSame(second.creds, { name: 'y', accountSeed, permissions: { pub: ['b'], sub: [] } }),
  ).toBeUndefined();
});

test('refuses to mint an agent whose name could stand for others', async () => {
  const { seeds } = await lay();
  for (const name of ['*', 'a.b', '>', '', 'Demo', 'a b', '../x']) {
    await expect(layAgent(home, seeds, 'default', name)).rejects.toThrow('must be 1 to 63');
    await expect(addAgent(home, seeds, ['default'], { tenant: 'default', name, labels: [] })).rejects.toThrow(
      GroundError,
    );
  }
  expect(readdirSync(join(home, 'creds')).sort()).toEqual([
    'agent-demo.creds',
    'agent-demo.token',
    'approver.creds',
    'auditor.creds',
    'engineer.creds',
    'operator.creds',
  ]);
});

test('gives agents of other tenants credentials under the name of their tenant', async () => {
  const { credsFile, accountId } = await lay(configWith(['bot'], 'acme'));
  expect(readFileSync(credsFile('acme.agent-bot'), 'utf8')).toContain('BEGIN NATS USER JWT');
  expect(tokenOf('acme.agent-bot').read).toMatchObject({ name: 'bot', account: accountId('acme') });
});

test('takes away and revokes the credentials of an agent that the configuration no longer names', async () => {
  await lay(configWith(['demo', 'old']));
  const user = readRoster(home).agents.find((a) => a.name === 'old')?.user;
  await lay(configWith(['demo']));
  expect(readdirSync(join(home, 'creds')).filter((f) => f.startsWith('agent-'))).toEqual([
    'agent-demo.creds',
    'agent-demo.token',
  ]);
  expect(readRoster(home).revoked.map((r) => r.user)).toEqual([user]);
});

test('keeps an agent removed that the configuration still names, and its user revoked, over later starts', async () => {
  const { seeds } = await lay();
  const user = readRoster(home).agents[0]?.user;
  await removeAgent(home, { tenant: 'default', name: 'demo' }, Date.now);
  await lay();
  expect(readRoster(home).agents).toEqual([]);
  expect(readRoster(home).revoked).toMatchObject([{ user }]);
  const again = await addAgent(home, seeds, ['default'], { tenant: 'default', name: 'demo', labels: [] });
  expect(again.user).not.toBe(user);
});

test('removes an agent again that was removed already, and nobody whom it never knew', async () => {
  await lay();
  const who = { tenant: 'default', name: 'demo' };
  await removeAgent(home, who, Date.now);
  const before = readRoster(home);
  await removeAgent(home, who, () => Date.now() + 60_000);
  expect(readRoster(home)).toEqual(before);
  for (const unknown of [
    { ...who, name: 'nobody' },
    { ...who, tenant: 'acme' },
  ])
    await expect(removeAgent(home, unknown, Date.now)).rejects.toThrow(
      `no agent is named ${unknown.name} in tenant ${unknown.tenant}`,
    );
});

test('revokes the user of a removed agent although its file stays, and does not hand that file out again', async () => {
  const { seeds, credsFile } = await lay();
  const who = { tenant: 'default', name: 'demo' };
  const user = readRoster(home).agents[0]?.user;
  await removeAgent(home, who, Date.now);
  expect(existsSync(credsFile('agent-demo'))).toBe(true);
  expect(readRoster(home)).toMatchObject({ agents: [], removed: [who], revoked: [{ user }] });
  expect((await addAgent(home, seeds, ['default'], { ...who, labels: [] })).user).not.toBe(user);
  expect(tokenOf('agent-demo').read).toMatchObject({ name: 'demo', user: readRoster(home).agents[0]?.user });
  dropCreds(home, who);
  expect(existsSync(credsFile('agent-demo'))).toBe(false);
  expect(existsSync(fileOf('agent-demo'))).toBe(false);
});

test('revokes the user whose file is missing at a start: who has a copy of it must not stay in beside the new one', async () => {
  const { credsFile } = await lay();
  const user = readRoster(home).agents[0]?.user;
  rmSync(credsFile('agent-demo'));
  await lay();
  expect(readRoster(home).revoked).toMatchObject([{ user }]);
  expect(readRoster(home).agents).toMatchObject([{ name: 'demo', user: expect.not.stringMatching(String(user)) }]);
});

test.each<[string, (seeds: Seeds, user: string) => string | undefined | Promise<string>]>([
  ['is missing', () => undefined],
  ['is none', () => 'garbage'],
  ['is of another user', (seeds) => wanted(seeds, { user: createUser().getPublicKey() })],
  ['is of another name', (seeds, user) => tagged(seeds, user, 'second', ['agent:demo'])],
  ['was signed by another account', (seeds, user) => wanted(seeds, { user, accountSeed: newAccountSeed() })],
  ['allows something else', (seeds, user) => wanted(seeds, { user, permissions: { pub: ['>'], sub: [] } })],
  ['has no tag', (seeds, user) => tagged(seeds, user, 'demo')],
])('lays a token anew that %s, and leaves the credentials as they are', async (_, other) => {
  const { seeds, credsFile } = await lay();
  const creds = readFileSync(credsFile('agent-demo'), 'utf8');
  const user = readRoster(home).agents[0]?.user ?? '';
  const there = await other(seeds, user);
  if (there === undefined) rmSync(fileOf('agent-demo'));
  else writeFileSync(fileOf('agent-demo'), `${there}\n`);
  await lay();
  const { text, read } = tokenOf('agent-demo');
  expect(read).toEqual({ name: 'demo', user, account: publicKeyOf(seeds.tenant('default')) });
  const { pub, sub, tags } = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()).nats;
  expect([pub, sub, tags]).toEqual([{ allow: ['agent.demo.>'] }, { allow: ['_INBOX_demo.>'] }, ['agent:demo']]);
  expect(statSync(fileOf('agent-demo')).mode & 0o777).toBe(0o600);
  expect(readFileSync(credsFile('agent-demo'), 'utf8')).toBe(creds);
});

test('gives an agent that is added a token of the user of its credentials, and one that was removed a new one', async () => {
  const { seeds } = await lay();
  const who = { tenant: 'default', name: 'extra' };
  const first = await addAgent(home, seeds, ['default'], { ...who, labels: [] });
  expect(tokenOf('agent-extra').read?.user).toBe(first.user);
  await removeAgent(home, who, Date.now);
  const second = await addAgent(home, seeds, ['default'], { ...who, labels: [] });
  expect(second.user).not.toBe(first.user);
  expect(tokenOf('agent-extra').read?.user).toBe(second.user);
});

test('takes one change of the agents after the other: none undoes what another did', async () => {
  const { seeds } = await lay();
  const add = (name: string) => addAgent(home, seeds, ['default'], { tenant: 'default', name, labels: [] });
  await Promise.all([add('one'), removeAgent(home, { tenant: 'default', name: 'demo' }, Date.now), add('two')]);
  const { agents, removed, revoked } = readRoster(home);
  expect(agents.map(({ name }) => name).sort()).toEqual(['one', 'two']);
  expect([removed, revoked]).toMatchObject([[{ name: 'demo' }], [{ tenant: 'default' }]]);
});

test('says at once what is wrong where the agents cannot be locked', async () => {
  await lay();
  writeFileSync(join(home, 'run', 'agents.lock'), 'no database '.repeat(100));
  await expect(removeAgent(home, { tenant: 'default', name: 'demo' }, Date.now)).rejects.toThrow(
    'agents.lock: file is not a database',
  );
});

test('keeps an agent that was added by command over later starts', async () => {
  const { seeds } = await lay();
  await addAgent(home, seeds, ['default'], { tenant: 'default', name: 'extra', labels: ['x'] });
  await lay();
  expect(readRoster(home).agents.map((a) => [a.name, a.from])).toEqual([
    ['demo', 'config'],
    ['extra', 'command'],
  ]);
});

test('refuses a second agent of the same name, and a tenant that nobody configured', async () => {
  const { seeds } = await lay();
  await expect(addAgent(home, seeds, ['default'], { tenant: 'default', name: 'demo', labels: [] })).rejects.toThrow(
    'exists already',
  );
  await expect(addAgent(home, seeds, ['default'], { tenant: 'acme', name: 'demo', labels: [] })).rejects.toThrow(
    'no tenant is named acme',
  );
});

test('refuses to go on with a roster that it cannot read, since that would let revoked users in', async () => {
  await lay();
  writeFileSync(join(home, 'agents.json'), '{"v":1');
  await expect(lay()).rejects.toThrow(/agents\.json cannot be read/);
});

test('opens no home where nothing was laid', () => {
  expect(() => openHome(join(home, 'nothing'))).toThrow('holds no AgentGate');
});

test('refuses a configuration that takes the name of the tenant of its own', async () => {
  await expect(lay(configWith([], 'agentgate'))).rejects.toThrow('reserved for the gate itself');
});
