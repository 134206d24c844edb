import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveTools } from '@agentgate/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { openPartition } from '../partition.ts';
import { redisCommand } from '../redis-command.ts';
import { replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';

// An outside observer: a tool that notes when each call starts, on the clock that also notes when a kill was answered. Once it was, no call
// in its scope starts.

const kills = 1_000;
const atOnce = 8;
const callersEach = 3;
const agents = ['demo', 'second'] as const;

let stack: Stack;
let operator: Operator;
let callers: Agent[];
let server: Awaited<ReturnType<typeof serveTools>>;
/** Session → when its last call started, and how many did. */
const started = new Map<string, { last: number; count: number }>();

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        servers: '  watch: { nats: { subject: tool.v1.watch } }\n',
        grants: '  - { id: watch, to: { labels: [dev] }, tools: ["watch/*"], effect: allow }',
      }),
  });
  server = await serveTools({
    servers: stack.status.nats,
    creds: stack.creds('tool-watch'),
    server: 'watch',
    tools: [
      {
        name: 'start',
        description: 'Notes when it starts.',
        inputSchema: { type: 'object', properties: { tag: { type: 'string' }, ms: { type: 'number' } } },
        handler: async ({ tag, ms }, { signal }) => {
          const { count = 0 } = started.get(String(tag)) ?? {};
          started.set(String(tag), { last: performance.now(), count: count + 1 });
          await sleep(Number(ms), undefined, { signal });
          return 'done';
        },
      },
    ],
  });
  operator = await openOperator(stack);
  callers = await Promise.all(agents.map((agent) => openAgent(stack, `agent-${agent}`)));
  const [demo] = callers;
  await eventually(
    'the gate knows the tool',
    async () => JSON.stringify(await demo?.ask('tools', { v: 1 })).includes('watch/start'),
    20_000,
  );
}, 90_000);
afterAll(async () => {
  await server?.close();
  await stack?.stop();
});

interface Round {
  session: string;
  /** Stops the load; resolves once its last call was answered. */
  quiet(): Promise<void>;
}
/** Calls without a pause, in a session of their own. */
const load = async (agent: Agent, ms: () => number): Promise<Round> => {
  const session = await agent.open();
  let isOver = false;
  const loop = async () => {
    while (!isOver)
      await agent.call(session, 'watch/start', { tag: session, ms: ms() }, { timeout_ms: 8_000 }).catch(() => {});
  };
  const running = Array.from({ length: callersEach }, loop);
  return {
    session,
    quiet: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
};
const startsAfter = ({ session }: Round, answered: number): number => {
  const last = started.get(session)?.last ?? Number.NEGATIVE_INFINITY;
  return last > answered ? last - answered : 0;
};

describe('once a kill was answered', () => {
  test(`no call in its scope starts: ${kills} kills at random moments under load`, async () => {
    const late: { session: string; ms: number }[] = [];
    let contained = 0;
    const one = async (i: number) => {
      const agent = callers[i % callers.length];
      if (!agent) throw new Error('no agent');
      const round = await load(agent, () => Math.random() * 6);
      // Most are killed while their calls run, one in ten before its first one may have come.
      if (i % 10 > 0) await eventually('it runs', () => started.has(round.session), 5_000);
      await sleep(Math.random() * 30);
      const receipt = await operator.kill({ kind: 'session', id: round.session });
      const answered = performance.now();
      if (receipt.contained) contained++;
      await sleep(20);
      await round.quiet();
      const ms = startsAfter(round, answered);
      if (ms > 0) late.push({ session: round.session, ms });
    };
    let next = 0;
    const worker = async () => {
      for (let i = next++; i < kills; i = next++) await one(i);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    expect(late).toEqual([]);
    expect(contained).toBe(kills);
    // The load was one: most sessions had calls running when they were killed.
    expect([...started.values()].filter(({ count }) => count > 0).length).toBeGreaterThanOrEqual(kills * 0.9);
  }, 180_000);

  test('none starts on a runner that was frozen through the order, and thawed at its answer', async () => {
    const [demo] = callers;
    if (!demo) throw new Error('no agent');
    for (let i = 0; i < 4; i++) {
      const round = await load(demo, () => 1);
      await sleep(200 + Math.random() * 900);
      stack.kill('tool-runner', 'SIGSTOP');
      await sleep(Math.random() * 400);
      const receipt = await operator.kill({ kind: 'session', id: round.session });
      const answered = performance.now();
      stack.kill('tool-runner', 'SIGCONT');
      expect(receipt.contained).toBe(false);
      expect(receipt.points).toContainEqual(expect.objectContaining({ service: 'tool-runner', confirmed_in_ms: null }));
      await sleep(1_500);
      await round.quiet();
      expect(startsAfter(round, answered)).toBe(0);
    }
  }, 90_000);

  test('none starts by an ingress that was cut off through the order and heard of it late, or never', async () => {
    const [demo] = callers;
    if (!demo) throw new Error('no agent');
    const partition = await openPartition(stack.status.nats);
    const cutOff = await replicate(stack, 'ingress', {
      AGENTGATE_NATS_URL: partition.url,
      AGENTGATE_INSTANCE: 'cut-off',
    });
    try {
      for (const heal of [partition.heal, partition.heal, partition.sever]) {
        const round = await eventually('calls go through', () => load(demo, () => 1), 20_000);
        await eventually('it is loaded', () => (started.get(round.session)?.count ?? 0) > 20, 20_000);
        partition.cut();
        // Whatever it is sent meanwhile waits, and so does whatever it says.
        await sleep(100 + Math.random() * 400);
        const receipt = await operator.kill({ kind: 'session', id: round.session });
        const answered = performance.now();
        heal();
        expect(receipt.contained).toBe(false);
        expect(receipt.points).toContainEqual({ service: 'ingress', instance: 'cut-off', confirmed_in_ms: null });
        await sleep(2_000);
        await round.quiet();
        partition.heal();
        expect(startsAfter(round, answered)).toBe(0);
      }
    } finally {
      await cutOff.kill('SIGKILL');
      await partition.close();
    }
  }, 120_000);

  test('none starts though Redis was emptied between', async () => {
    const [demo] = callers;
    if (!demo) throw new Error('no agent');
    // Redis reads its users anew when it starts: one of ours may do what no service may.
    appendFileSync(join(stack.home, 'keys', 'redis', 'users.acl'), 'user chaos on >chaos ~* +@all\n');
    const was = stack.pid('redis-server');
    stack.kill('redis-server', 'SIGKILL');
    await stack.restarted('redis-server', was);
    const { host } = new URL(readFileSync(join(stack.home, 'keys', 'redis', 'kill-switch.url'), 'utf8').trim());
    const round = await eventually('calls go through again', async () => load(demo, () => 1), 15_000);
    await eventually('it is loaded', () => (started.get(round.session)?.count ?? 0) > 20, 15_000);
    const [receipt] = await Promise.all([
      operator.kill({ kind: 'session', id: round.session }),
      redisCommand(`redis://chaos:chaos@${host}`, 'FLUSHALL'),
    ]);
    const answered = performance.now();
    await sleep(1_500);
    await round.quiet();
    expect(receipt.epoch).toBeGreaterThan(0);
    expect(startsAfter(round, answered)).toBe(0);
  }, 30_000);

  test('none starts when the kill-switch died before it answered and the operator asks again', async () => {
    const [demo] = callers;
    if (!demo) throw new Error('no agent');
    const round = await load(demo, () => 1);
    await sleep(100);
    const was = stack.pid('kill-switch');
    // Nobody hears its answer.
    operator.kill({ kind: 'session', id: round.session }).catch(() => {});
    await sleep(Math.random() * 5);
    stack.kill('kill-switch', 'SIGKILL');
    await stack.restarted('kill-switch', was);
    const receipt = await operator.kill({ kind: 'session', id: round.session });
    const answered = performance.now();
    await sleep(500);
    await round.quiet();
    expect(receipt.scope).toMatchObject({ kind: 'session', id: round.session });
    expect(startsAfter(round, answered)).toBe(0);
  }, 60_000);
});
