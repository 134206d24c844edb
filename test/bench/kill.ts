import { setTimeout as sleep } from 'node:timers/promises';
import { serveTools } from '@agentgate/client';
import { incidentsAnswer } from '@agentgate/contracts';
import { eventually } from '../eventually.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Replica, replicate } from '../replicas.ts';
import { startStack } from '../stack.ts';

// A kill with many calls in flight over several enforcement points: three of ingress, three runners, the broker, approvals. The tool is
// cooperative: it stops when it is told to, and says so. The observer, the operator and the tool share one clock.

const inFlight = 1_000;
const extraEach = 2;
const alone = 300;
const automatic = 30;
const goals = { refused: 10, contained: 25 };

/** Calls one after the other: what a check costs shows in them. */
const callMs = async (demo: Agent): Promise<number> => {
  const session = await demo.open();
  const took: number[] = [];
  for (let i = 0; i < alone; i++) {
    const began = performance.now();
    const { status } = await demo.call(session, 'watch/now', {});
    if (status !== 'ok') throw new Error(`a call ended as ${status}`);
    took.push(performance.now() - began);
  }
  return quantile(took, 0.5);
};

/** What the gate stops by itself: from the refusal that was one too many, as evidence has it, until the kill of its session was ordered; by one clock, to the millisecond. */
const automaticMs = async (demo: Agent, operator: Operator): Promise<number[]> => {
  const took: number[] = [];
  for (let i = 0; i < automatic; i++) {
    const session = await demo.open();
    // A call that a loaded machine could not decide says nothing of its agent, and counts for nothing.
    for (let refused = 0; refused < 3; ) {
      const { status } = await demo.call(session, 'probe/danger', {});
      if (status === 'killed') break;
      if (status === 'denied') refused++;
    }
    const { caused_at, receipt } = await eventually('its session was stopped', async () => {
      const { incidents } = incidentsAnswer.parse(await operator.ask('incidents', {}));
      return incidents.find((incident) => incident.session === session && incident.receipt);
    });
    took.push(Date.parse(receipt?.ordered_at ?? '') - Date.parse(caused_at));
    // A row of sessions within a second would be the agent itself.
    await sleep(100);
  }
  return took;
};

interface Times {
  /** From the order's leaving until the last call started anywhere. */
  refused: number;
  /** … until the last call in flight was answered as killed. */
  aborted: number;
  /** … until the receipt was here. */
  receipt: number;
}
const quantile = (values: number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

export interface KillBench {
  json: boolean;
  /** Kills that are timed. */
  rounds: number;
  /** More kills that stand while a call alone is timed again. */
  standing: number;
}

/** `npm run bench -- kill [--json] [--rounds N] [--standing N]` */
export const benchKill = async ({ json, rounds, standing }: KillBench): Promise<boolean> => {
  const stack = await startStack({
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        servers: '  watch: { nats: { subject: tool.v1.watch } }\n',
        grants: '  - { id: watch, to: { labels: [dev] }, tools: ["watch/*"], effect: allow }',
        more: 'containment: { denials: [{ id: thrice, count: 3, window_s: 60, per: session, contains: session }], escalate: { sessions: 16, window_s: 1 } }',
      }).replace(/limits: .*/, 'limits: { calls_in_flight: 4096, call_timeout_ms: 60000, result_bytes: 65536 }'),
  });
  const replicas: Replica[] = [];
  let starts = 0;
  let lastStart = 0;
  const server = await serveTools({
    servers: stack.status.nats,
    creds: stack.creds('tool-watch'),
    server: 'watch',
    tools: [
      {
        name: 'wait',
        description: 'Waits until it is told to stop.',
        inputSchema: { type: 'object' },
        handler: async (_, { signal }) => {
          starts++;
          lastStart = performance.now();
          await sleep(55_000, undefined, { signal });
          return 'done';
        },
      },
      { name: 'now', description: 'Answers at once.', inputSchema: { type: 'object' }, handler: () => 'done' },
    ],
  });
  try {
    for (const service of ['ingress', 'tool-runner'])
      for (let i = 0; i < extraEach; i++) replicas.push(await replicate(stack, service));
    const [demo, operator] = [await openAgent(stack), await openOperator(stack)];
    await eventually(
      'the gate knows the tool',
      async () => JSON.stringify(await demo.ask('tools', { v: 1 })).includes('watch/now'),
      20_000,
    );
    // A runner lists the tool by itself, and each point says each second that it is there.
    await sleep(3_000);
    const rtt: number[] = [];
    for (let i = 0; i < 200; i++) {
      const asked = performance.now();
      await demo.bus.flush();
      rtt.push(performance.now() - asked);
    }
    const times: Times[] = [];
    let points = 0;
    for (let i = 0; i < rounds; i++) {
      const session = await demo.open();
      starts = 0;
      let answered = 0;
      let lastAnswer = 0;
      let isOrdered = false;
      const call = async () => {
        let reply = await demo.call(session, 'watch/wait', {}, { timeout_ms: 50_000 });
        // A loaded machine refuses some of so many at once; what did not start is asked again.
        while (reply.status === 'unavailable' && !isOrdered) {
          await sleep(250);
          reply = await demo.call(session, 'watch/wait', {}, { timeout_ms: 50_000 });
        }
        if (reply.status !== 'killed')
          throw new Error(`a call ended as ${reply.status}: ${reply.code}: ${reply.reason}`);
        answered++;
        lastAnswer = performance.now();
      };
      const calls = Array.from({ length: inFlight }, call);
      await eventually('all are in flight', () => starts === inFlight, 30_000);
      // And some that arrive while the order does.
      const arriving = Array.from({ length: 50 }, async (_, n) => {
        await sleep(n / 5);
        await call();
      });
      await sleep(3);
      const began = performance.now();
      isOrdered = true;
      const receipt = await operator.kill({ kind: 'session', id: session });
      const took = performance.now() - began;
      if (!receipt.contained || receipt.calls.length < inFlight)
        throw new Error(`not contained: ${JSON.stringify(receipt.points)}`);
      points = receipt.points.length;
      await Promise.all([...calls, ...arriving]);
      if (answered !== inFlight + 50) throw new Error('a call was not answered');
      times.push({ refused: Math.max(0, lastStart - began), aborted: lastAnswer - began, receipt: took });
      await sleep(200);
    }
    const byItself = await automaticMs(demo, operator);
    const few = await callMs(demo);
    let left = standing;
    const order = async () => {
      while (left-- > 0) await operator.kill({ kind: 'session', id: `ses_standing${String(left).padStart(10, '0')}` });
    };
    await Promise.all(Array.from({ length: 64 }, order));
    const many = await callMs(demo);
    const row = (of: keyof Times) => ({
      p50: quantile(
        times.map((t) => t[of]),
        0.5,
      ),
      p99: quantile(
        times.map((t) => t[of]),
        0.99,
      ),
    });
    const measured = {
      points,
      bare_rtt_p50_ms: quantile(rtt, 0.5),
      refused: row('refused'),
      aborted: row('aborted'),
      receipt: row('receipt'),
      automatic: { p50: quantile(byItself, 0.5), p99: quantile(byItself, 0.99) },
      call_ms: { few, many },
    };
    if (json) process.stdout.write(`${JSON.stringify(measured)}\n`);
    else tell(measured, { rounds, standing });
    return true;
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')));
    await server.close();
    await stack.stop();
  }
};

type Pair = { p50: number; p99: number };
const tell = (
  m: {
    points: number;
    bare_rtt_p50_ms: number;
    refused: Pair;
    aborted: Pair;
    receipt: Pair;
    automatic: Pair;
    call_ms: { few: number; many: number };
  },
  { rounds, standing }: Pick<KillBench, 'rounds' | 'standing'>,
): void => {
  const line = (what: string, { p50, p99 }: Pair, goal?: number) =>
    `${what.padEnd(44)}${`${p50.toFixed(1)} ms`.padStart(12)}${`${p99.toFixed(1)} ms`.padStart(12)}${goal === undefined ? '' : `   goal ${goal} ms: ${p99 <= goal ? 'met' : 'not met'}`}\n`;
  process.stdout.write(
    [
      `a kill with ${inFlight} calls in flight over ${m.points} enforcement points, ${rounds} times${' '.repeat(4)}p50         p99\n`,
      line('order → the last call started anywhere', m.refused, goals.refused),
      line('order → the last call answered as killed', m.aborted),
      line('order → the signed receipt', m.receipt, goals.contained),
      line('one refusal too many → an automatic order', m.automatic),
      `a call alone, with few and with ${standing} more kills${`${m.call_ms.few.toFixed(1)} ms`.padStart(9)}${`${m.call_ms.many.toFixed(1)} ms`.padStart(12)}\n`,
      `bare NATS round trip${`${m.bare_rtt_p50_ms.toFixed(2)} ms`.padStart(36)}\n`,
    ].join(''),
  );
};
