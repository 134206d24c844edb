import { readFileSync } from 'node:fs';
import { type Bus, connectBus } from '@agentgate/bus';
import { accountConnections, agentVerbs } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { connect, jwtAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { addAgent, pushTenant, readRoster, removeAgent } from '../src/index.ts';

// What NATS lets do whoever has an agent's bearer token, and until when.

let ground: Ground;
const opened: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  ground = await startGround({ tenants: { default: ['demo', 'second'] }, redis: false });
  const ingress = await ground.connect('ingress');
  ingress.serveRaw(agentVerbs.call, async (_, { subject }) => ({ subject }));
  await ingress.flush();
});
afterEach(async () => {
  for (const connection of opened.splice(0)) await connection.close();
});
afterAll(() => ground?.stop());

const tokenOf = (agent: string) =>
  readFileSync(ground.credsFile(`agent-${agent}`).replace(/creds$/, 'token'), 'utf8').trim();
/** A client that keeps to nothing. */
const intrude = async (token: string, inboxPrefix: string): Promise<NatsConnection> => {
  const nc = await connect({
    servers: ground.natsUrl,
    authenticator: jwtAuthenticator(token),
    inboxPrefix,
    reconnect: false,
  });
  opened.push(nc);
  return nc;
};
const login = async (agent: string, creds: string): Promise<Bus> => {
  const bus = await connectBus({
    servers: ground.natsUrl,
    creds,
    user: agent,
    instance: `${agent}-bearer`,
    timeoutMs: 1_000,
  });
  opened.push(bus);
  return bus;
};
const call = async (bus: Bus, agent: string) =>
  JSON.parse(
    new TextDecoder().decode(await bus.requestRaw(`agent.${agent}.call`, '{}', { of: 'ingress', timeoutMs: 400 })),
  );

test('lets in with the token alone, as the agent and its tenant', async () => {
  expect(await call(await login('demo', tokenOf('demo')), 'demo')).toEqual({
    subject: `gate.v1.${ground.accountId('default')}.demo.call`,
  });
});

test('lets in nobody with what the credentials hold without their key: that the token needs none is its own mark', async () => {
  const jwt = ground.creds('agent-demo').split('\n')[1] ?? '';
  await expect(login('demo', jwt)).rejects.toThrow('did not take user demo');
});

test('tells by the tags of a connection whose it is: the JWT in which a kill looks else NATS withholds', async () => {
  await intrude(tokenOf('second'), '_INBOX_second');
  const killSwitch = await ground.connect('kill-switch');
  const told = await killSwitch.requestRaw(
    accountConnections(ground.accountId('default')),
    JSON.stringify({ auth: true }),
    { of: 'nats-server', timeoutMs: 1_000 },
  );
  const [connection] = JSON.parse(new TextDecoder().decode(told)).data.connections;
  expect([connection.tags, connection.jwt]).toEqual([['agent:second'], undefined]);
});

test('lets it publish under its own name only', async () => {
  const nc = await intrude(tokenOf('demo'), '_INBOX_demo');
  expect((await nc.request('agent.demo.call', '{}', { timeout: 1_000 })).string()).toContain('.demo.call');
  for (const subject of ['agent.second.call', 'gate.v1.x.demo.call', '_INBOX_second.x', 'svc.v1.policy.decide'])
    await expect(nc.request(subject, '{}', { timeout: 1_000 })).rejects.toThrow(/Permissions Violation for Publish/i);
});

test.each(['_INBOX_second.>', '_INBOX_*.>', '>', 'agent.second.>'])('lets it not subscribe to %s', async (subject) => {
  const nc = await intrude(tokenOf('demo'), '_INBOX_demo');
  const refused = new Promise<Error | undefined>((resolve) =>
    nc.subscribe(subject, { callback: (error) => resolve(error ?? undefined) }),
  );
  expect((await refused)?.message).toMatch(/Permissions Violation for Subscription/i);
});

test('a removed agent is cut off and refused by its token as by its credentials, and its client gives up', async () => {
  const { home, seeds } = ground.deployment;
  const { natsUrl } = ground;
  await addAgent(home, seeds, ['default'], { tenant: 'default', name: 'brief', labels: [] });
  const [token, creds] = [tokenOf('brief'), ground.creds('agent-brief')];
  const [byToken, byCreds, other] = [
    await login('brief', token),
    await login('brief', creds),
    await login('second', tokenOf('second')),
  ];
  const nc = await connect({
    servers: natsUrl,
    authenticator: jwtAuthenticator(token),
    // As the bus has it: without an end, were it not for the refusal.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  opened.push(nc);
  // Its token is younger than that: a clock that was set back must not leave it in.
  await removeAgent(home, { tenant: 'default', name: 'brief' }, () => Date.now() - 3_600_000);
  await pushTenant({ natsUrl, seeds, roster: readRoster(home), tenant: 'default' });
  await vi.waitFor(() => expect([byToken.connected(), byCreds.connected()]).toEqual([false, false]), 2_000);
  await expect(login('brief', token)).rejects.toThrow('did not take user brief');
  await expect(login('brief', creds)).rejects.toThrow('did not take user brief');
  expect((await nc.closed())?.message).toMatch(/authorization violation/i);
  await expect(call(byToken, 'brief')).rejects.toThrow();
  // Nobody else of its tenant.
  expect([other.connected(), await call(other, 'second')]).toMatchObject([true, expect.anything()]);
});
