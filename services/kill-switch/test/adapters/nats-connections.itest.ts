import { readFileSync } from 'node:fs';
import { type Bus, connectBus } from '@agentgate/bus';
import { serverKick } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNatsConnections } from '../../src/adapters/nats-connections.ts';
import type { Connections } from '../../src/ports.ts';

let ground: Ground;
let connections: Connections;

beforeAll(async () => {
  ground = await startGround({ redis: false, tenants: { default: ['demo', 'other'], acme: ['demo'] } });
  const accounts = ['default', 'acme'].map((tenant): [string, string] => [tenant, ground.accountId(tenant)]);
  connections = createNatsConnections(await ground.connect('kill-switch'), new Map(accounts));
});
const opened: Bus[] = [];
afterAll(async () => {
  for (const bus of opened) await bus.close();
  await ground?.stop();
});

/** Connects and counts how often the connection broke. */
const watched = async (user: string, bus?: Bus) => {
  bus ??= await ground.connect(user);
  let cuts = 0;
  bus.onState((state) => {
    if (state === 'disconnected') cuts++;
  });
  return { bus, cuts: () => cuts };
};
const until = async (holds: () => boolean) => {
  for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(holds()).toBe(true);
};

test("cuts every connection of the agent, and no other agent's", async () => {
  const [first, second] = [await watched('agent-demo'), await watched('agent-demo')];
  const [other, foreign] = [await watched('agent-other'), await watched('acme.agent-demo')];
  expect(await connections.cut({ tenant: 'default', agent: 'demo' })).toBe(2);
  await until(() => first.cuts() === 1 && second.cuts() === 1);
  await Promise.all([other.bus.flush(), foreign.bus.flush()]);
  expect([other.cuts(), foreign.cuts()]).toEqual([0, 0]);
});

test('cuts those, too, that came in with a bearer token, and only theirs', async () => {
  const byToken = async (agent: string) => {
    const creds = readFileSync(ground.credsFile(`agent-${agent}`).replace(/creds$/, 'token'), 'utf8');
    const bus = await connectBus({ servers: ground.natsUrl, creds, user: agent, instance: 'bearer' });
    opened.push(bus);
    return watched(agent, bus);
  };
  const [first, other] = [await byToken('demo'), await byToken('other')];
  const second = await watched('agent-demo');
  expect(await connections.cut({ tenant: 'default', agent: 'demo' })).toBeGreaterThanOrEqual(2);
  await until(() => first.cuts() === 1 && second.cuts() === 1);
  await other.bus.flush();
  expect(other.cuts()).toBe(0);
});

test('of an agent that is not connected, or of a tenant that is none, there is nothing to cut', async () => {
  expect(await connections.cut({ tenant: 'acme', agent: 'nobody' })).toBe(0);
  expect(await connections.cut({ tenant: 'nowhere', agent: 'demo' })).toBe(0);
});

test.each(['ingress', 'tool-runner', 'policy'] as const)('%s may not cut anybody', async (service) => {
  const bus = await ground.connect(service);
  await expect(
    bus.requestRaw(serverKick(bus.server().id), '{"cid":1}', { of: 'nats-server', timeoutMs: 300 }),
  ).rejects.toMatchObject({ code: 'INTERNAL' });
});
