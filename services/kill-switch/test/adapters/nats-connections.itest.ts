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
afterAll(() => ground?.stop());

/** Connects and counts how often the connection broke. */
const watched = async (user: string) => {
  const bus = await ground.connect(user);
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
