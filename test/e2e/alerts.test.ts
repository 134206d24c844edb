import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, openAgent, openOperator } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// Somebody is told: what happens in a running stack arrives at a receiver that knows nothing of us but the secret.

const secret = `whsec_${randomBytes(32).toString('base64')}`;

interface Told {
  id: string;
  type: string;
  data: Record<string, unknown>;
}
const told: Told[] = [];
let status = 204;
let server: Server;
let stack: Stack;
let second: Agent;

beforeAll(async () => {
  server = createServer((req, res) => {
    let body = '';
    req.on('data', (chunk) => {
      body += String(chunk);
    });
    req.on('end', () => {
      // Throws where the signature does not hold: then the receiver answers nothing, and the test fails.
      const { type, data } = new Webhook(secret).verify(body, req.headers as Record<string, string>) as Told;
      told.push({ id: String(req.headers['webhook-id']), type, data });
      res.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const pager = `{ url: "http://127.0.0.1:${port}/hook", allow_http: true, allow_private: true }`;
  stack = await startStack({
    config: ({ probeLog }) => testConfig({ probeLog, more: `alerts: { endpoints: { pager: ${pager} } }\n` }),
    env: { AGENTGATE_WEBHOOK_SECRET: secret },
  });
  second = await openAgent(stack, 'agent-second');
});
afterAll(async () => {
  await stack?.stop();
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
});

const heard = (type: string, about: (data: Told['data']) => boolean = () => true) =>
  eventually(
    `${type} arrives`,
    () => told.find((one) => one.type === `agentgate.${type}.v1` && about(one.data)),
    20_000,
  );
const { ask } = createCommand(() => stack.home);

test('a kill and what became of it, signed, each with its event to look up', async () => {
  const operator = await openOperator(stack);
  const evidence = await readEvidence(stack);
  const session = await second.open();
  const receipt = await operator.kill({ kind: 'session', id: session });
  const ordered = await heard('kill.ordered', ({ epoch }) => epoch === receipt.epoch);
  const contained = await heard('kill.contained', ({ epoch }) => epoch === receipt.epoch);
  expect(ordered.data).toMatchObject({
    scope: { kind: 'session', id: session },
    by: 'operator',
    reason: 'a test kills',
  });
  expect(contained.data).toMatchObject({ contained: true, points: { silent: [] }, leases: { irrevocable: 0 } });
  expect(ordered.id).toBe(`pager/${String(ordered.data.event)}`);
  const event = await evidence.event('kill.ordered', String(ordered.data.event));
  expect(event.data.scope).toEqual({ kind: 'session', id: session });
  await operator.lift({ kind: 'session', id: session });
  await heard('kill.lifted');
});

test('a question to a person, without what it is about to send', async () => {
  const reply = await second.call(await second.open(), 'probe/write', { path: '/srv/box/a', text: 'S3CRET-ARGUMENT' });
  expect(reply.status).toBe('approval_required');
  const { data } = await heard('approval.requested');
  expect(data).toMatchObject({ approval: reply.approval?.id, tool: 'probe/write', agent: 'second' });
  expect(JSON.stringify(told)).not.toContain('S3CRET-ARGUMENT');
});

test('nobody else was given the secret, and no log has it', async () => {
  const holders = Object.entries(stack.pids()).filter(([, pid]) =>
    readFileSync(`/proc/${pid}/environ`, 'utf8').includes(secret),
  );
  expect(holders.map(([service]) => service)).toEqual(['notifier']);
  expect(stack.output()).not.toContain(secret);
});

test('a receiver that is gone for good: it is seen, tried again and taken; a kill is answered all the while', async () => {
  status = 410;
  const operator = await openOperator(stack);
  const { epoch, contained } = await operator.kill({ kind: 'tool', id: 'probe/never' });
  expect(contained).toBe(true);
  const { id } = await heard('kill.ordered', (data) => data.epoch === epoch);
  const dead = await eventually('it is dead', async () => {
    const { code, answer } = await ask('alerts', 'dead');
    return code === 2 && (answer.alerts as { id: string; problem: string }[]).find((one) => one.id === id);
  });
  expect(dead.problem).toBe('answered 410: it takes no alerts any more');
  expect((await ask('alerts', 'test', 'pager')).code).toBe(1);
  status = 204;
  expect(await ask('alerts', 'test', 'pager')).toMatchObject({ code: 0, answer: { ok: true } });
  expect((await ask('alerts', 'retry', 'pager')).code).toBe(0);
  await eventually('nothing waits and nothing is dead', async () => (await ask('alerts')).code === 0);
  expect(told.filter((one) => one.id === id)).toHaveLength(2);
});
