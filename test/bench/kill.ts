import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { incidentsAnswer, type KillReceipt } from '@agentgate/contracts';
import { startPlainRedis } from '@agentgate/testkit';
import { eventually } from '../eventually.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { type Replica, replicate } from '../replicas.ts';
import { startStack } from '../stack.ts';
import { quantile } from './figures.ts';
import { createChildren } from './processes.ts';

// A kill with many calls in flight over several enforcement points: three of ingress, three runners, the broker, approvals. The tool is
// cooperative: it stops when it is told to, and says so. It has a process of its own, and the machine's clock in common with the operator.

/** So many calls run when the order comes, and so many of them hold a lease that can be proven to be over. */
const crowds = [
  { inFlight: 10, withLease: 2 },
  { inFlight: 1_000, withLease: 16 },
] as const;
type Crowd = (typeof crowds)[number];
/** Calls that arrive while the order does. */
const arriving = { calls: 50, everyMs: 2 };
/** Calls at once, before anything is timed. */
const warmUp = { calls: 64, seconds: 10 };
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

/** What the tool wrote of each start, in milliseconds since the epoch. */
const createStarts = (file: string) => {
  const forget = () => writeFileSync(file, '');
  forget();
  return { file, forget, all: () => readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) };
};

const leasesMs = ({ points }: KillReceipt): number =>
  Math.max(
    ...points.map(({ service, confirmed_in_ms }) =>
      service === 'credential-broker' ? (confirmed_in_ms ?? Number.NaN) : 0,
    ),
  );

/** Milliseconds from the order's leaving … */
interface Times {
  /** … until the last call started anywhere. */
  refused: number;
  /** … until the last call in flight was answered as killed. */
  aborted: number;
  /** … until every lease was revoked, by the receipt. */
  leases: number;
  /** … until every point had confirmed, by the receipt. */
  contained: number;
  /** … until the receipt was here. */
  receipt: number;
}
const pair = (values: number[]) => ({ p50: quantile(values, 0.5), p99: quantile(values, 0.99) });
const rowsOf = (times: Times[]) => ({
  refused: pair(times.map(({ refused }) => refused)),
  aborted: pair(times.map(({ aborted }) => aborted)),
  leases: pair(times.map(({ leases }) => leases)),
  contained: pair(times.map(({ contained }) => contained)),
  receipt: pair(times.map(({ receipt }) => receipt)),
});

interface Parties {
  demo: Agent;
  operator: Operator;
  starts: ReturnType<typeof createStarts>;
}

/** A gate that serves is warm; without this a kill would measure Node's interpreter in eight programs. */
const warm = async (demo: Agent): Promise<void> => {
  const session = await demo.open();
  const until = performance.now() + warmUp.seconds * 1_000;
  const worker = async () => {
    while (performance.now() < until) await demo.call(session, 'watch/now', {});
  };
  await Promise.all(Array.from({ length: warmUp.calls }, worker));
};

const killOnce = async ({ demo, operator, starts }: Parties, { inFlight, withLease }: Crowd) => {
  const session = await demo.open();
  starts.forget();
  let answered = 0;
  let lastAnswer = 0;
  let isOrdered = false;
  const call = async (tool: string) => {
    let reply = await demo.call(session, tool, {}, { timeout_ms: 50_000 });
    // A loaded machine refuses some of so many at once; what did not start is asked again.
    while (reply.status === 'unavailable' && !isOrdered) {
      await sleep(250);
      reply = await demo.call(session, tool, {}, { timeout_ms: 50_000 });
    }
    if (reply.status !== 'killed') throw new Error(`a call ended as ${reply.status}: ${reply.code}: ${reply.reason}`);
    answered++;
    lastAnswer = performance.now();
  };
  const calls = Array.from({ length: inFlight }, (_, n) => call(n < withLease ? 'keyed/wait' : 'watch/wait'));
  await eventually('all are in flight', () => starts.all().length === inFlight, 30_000);
  const late = Array.from({ length: arriving.calls }, async (_, n) => {
    await sleep(n * arriving.everyMs);
    await call('watch/wait');
  });
  // They are awaited below; where the kill fails before that, its error is the one to see.
  for (const each of [...calls, ...late]) each.catch(() => {});
  await sleep(20);
  const [began, beganAt] = [performance.now(), performance.timeOrigin + performance.now()];
  isOrdered = true;
  const receipt = await operator.kill({ kind: 'session', id: session });
  const took = performance.now() - began;
  if (!receipt.contained || receipt.calls.length < inFlight || receipt.leases.revoked < withLease)
    throw new Error(`not contained: ${JSON.stringify([receipt.points, receipt.leases, receipt.calls.length])}`);
  await Promise.all([...calls, ...late]);
  if (answered !== inFlight + arriving.calls) throw new Error('a call was not answered');
  const times: Times = {
    refused: Math.max(0, ...starts.all().map((at) => at - beganAt)),
    aborted: lastAnswer - began,
    leases: leasesMs(receipt),
    contained: receipt.contained_in_ms,
    receipt: took,
  };
  return { points: receipt.points.length, times };
};

export interface KillBench {
  json: boolean;
  /** Kills that are timed. */
  rounds: number;
  /** More kills that stand while a call alone is timed again. */
  standing: number;
}

/** `npm run bench -- kill [--json] [--rounds N] [--standing N]` */
export const benchKill = async ({ json, rounds, standing }: KillBench): Promise<boolean> => {
  const redis = await startPlainRedis();
  const stack = await startStack({
    env: { BENCH_REDIS: redis.url },
    config: ({ probeLog }) =>
      testConfig({
        probeLog,
        servers:
          '  watch: { nats: { subject: tool.v1.watch } }\n  keyed: { nats: { subject: tool.v1.keyed }, credential: badge, inject: { field: url, format: "{url}" } }\n',
        grants: '  - { id: watch, to: { labels: [dev] }, tools: ["watch/*", "keyed/*"], effect: allow }',
        more: 'credentials: { badge: { provider: redis-acl, admin: { env: BENCH_REDIS }, rules: [{ keys: ["a:*"], commands: [get] }] } }\ncontainment: { denials: [{ id: thrice, count: 3, window_s: 60, per: session, contains: session }], escalate: { sessions: 16, window_s: 1 } }',
      }).replace(/limits: .*/, 'limits: { calls_in_flight: 4096, call_timeout_ms: 60000, result_bytes: 65536 }'),
  });
  const replicas: Replica[] = [];
  const children = createChildren();
  const starts = createStarts(join(stack.dir, 'starts'));
  try {
    for (const server of ['watch', 'keyed']) {
      const creds = join(stack.status.creds, `tool-${server}.creds`);
      await children.start(fileURLToPath(new URL('./nats-wait.ts', import.meta.url)), [
        stack.status.nats,
        creds,
        server,
        starts.file,
      ]);
    }
    for (const service of ['ingress', 'tool-runner'])
      for (let i = 0; i < extraEach; i++) replicas.push(await replicate(stack, service));
    const [demo, operator] = [await openAgent(stack), await openOperator(stack)];
    await eventually(
      'the gate knows the tools',
      async () => {
        const known = JSON.stringify(await demo.ask('tools', { v: 1 }));
        return known.includes('watch/now') && known.includes('keyed/now');
      },
      20_000,
    );
    // A runner lists the tool by itself, and each point says each second that it is there.
    await sleep(3_000);
    await warm(demo);
    const rtt: number[] = [];
    for (let i = 0; i < 200; i++) {
      const asked = performance.now();
      await demo.bus.flush();
      rtt.push(performance.now() - asked);
    }
    const times: Times[][] = [];
    let points = 0;
    for (const crowd of crowds) {
      const ofCrowd: Times[] = [];
      for (let i = 0; i < rounds; i++) {
        const killed = await killOnce({ demo, operator, starts }, crowd);
        points = killed.points;
        ofCrowd.push(killed.times);
        await sleep(200);
      }
      times.push(ofCrowd);
    }
    const byItself = await automaticMs(demo, operator);
    const few = await callMs(demo);
    let left = standing;
    const order = async () => {
      while (left-- > 0) await operator.kill({ kind: 'session', id: `ses_standing${String(left).padStart(10, '0')}` });
    };
    await Promise.all(Array.from({ length: 64 }, order));
    const many = await callMs(demo);
    const measured: Measured = {
      points,
      bare_rtt_p50_ms: quantile(rtt, 0.5),
      kills: crowds.map((crowd, i) => ({ ...crowd, ...rowsOf(times[i] ?? []) })),
      automatic: { p50: quantile(byItself, 0.5), p99: quantile(byItself, 0.99) },
      call_ms: { few, many },
    };
    if (json) process.stdout.write(`${JSON.stringify(measured)}\n`);
    else tell(measured, { rounds, standing });
    return true;
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill('SIGKILL')));
    await children.stop();
    await stack.stop();
    await redis.stop();
  }
};

interface Measured {
  points: number;
  bare_rtt_p50_ms: number;
  kills: (Crowd & ReturnType<typeof rowsOf>)[];
  automatic: ReturnType<typeof pair>;
  call_ms: { few: number; many: number };
}

const tell = (m: Measured, { rounds, standing }: Pick<KillBench, 'rounds' | 'standing'>): void => {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  const line = (what: string, { p50, p99 }: ReturnType<typeof pair>, goal?: number) => {
    const against = goal === undefined ? '' : `   goal ${goal} ms: ${p99 <= goal ? 'met' : 'not met'}`;
    say(`${what.padEnd(46)}${`${p50.toFixed(1)} ms`.padStart(11)}${`${p99.toFixed(1)} ms`.padStart(11)}${against}`);
  };
  for (const { inFlight, withLease, ...k } of m.kills) {
    say(`${`${inFlight} calls in flight, ${m.points} enforcement points, ${rounds} kills`.padEnd(54)}p50        p99`);
    line('order → the last call started anywhere', k.refused, goals.refused);
    line('order → the last call answered as killed', k.aborted);
    line(`order → ${withLease} leases revoked, each proven`, k.leases);
    line('order → contained: every point has confirmed', k.contained, goals.contained);
    line('order → the signed receipt', k.receipt);
  }
  line('one refusal too many → an automatic order', m.automatic);
  say(
    `a call alone, with few and with ${standing} more kills   ${m.call_ms.few.toFixed(1)} ms, ${m.call_ms.many.toFixed(1)} ms`,
  );
  say(`bare NATS round trip   ${m.bare_rtt_p50_ms.toFixed(2)} ms`);
};
