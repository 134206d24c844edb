import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseCheckpoint, parseNote, signingKeyFromSeed } from '@agentgate/evidence';
import { createProducer, newId, type Producer } from '@agentgate/runtime';
import { type Stack, startStack } from '../stack.ts';
import { cpuSeconds, peakMiB, quantile } from './figures.ts';

/** What the project promises of itself on two cores. */
const goals = { perSecond: 10_000, p99Ms: 250, ratioWhenGrown: 1.2, auditMiB: 150 };
/** Events that may wait for their checkpoint while the log is driven as fast as it goes. */
const inFlight = 8_192;
/** How often the published checkpoint is looked at: latencies are too long by up to so much. */
const lookMs = 5;
/** The share of the full speed at which latency is measured: at full speed it would only say how much was in flight. */
const pacedShare = 0.5;
const sampledEvery = 16;
/** What is not covered by then is not waited for: no witness, or one that is silent. */
const lastMs = 30_000;

interface Row {
  /** In the log when the row begins. */
  entries: number;
  perSecond: number;
  /** Of audit, an event. */
  cpuMicros: number;
  /** Of all else that an event passes here, so that it shows what the machine's cores are spent on. */
  natsMicros: number;
  senderMicros: number;
  p50Ms: number;
  p99Ms: number;
  /** Until the checkpoint that covers it bears a witness's cosignature, too. */
  cosignedP50Ms: number;
  cosignedP99Ms: number;
}

/**
 * `npm run bench -- evidence [--seconds N] [--grown N] [--json]`: events from their producer to the checkpoint that covers them, sealed,
 * over JetStream, verified, every step fsynced; in an empty log and, with `--grown`, in one that has grown to so many entries.
 */
export const benchEvidence = async (opts: { seconds: number; grown: number; json: boolean }): Promise<boolean> => {
  const stack = await startStack();
  try {
    const load = await createLoad(stack);
    await load.drive({ seconds: 3 });
    const rows = [await measure(load, opts.seconds)];
    if (opts.grown > 0) {
      await load.drive({ upTo: opts.grown });
      rows.push(await measure(load, opts.seconds));
    }
    return report(rows, load.auditMiB(), opts.json);
  } finally {
    await stack.stop();
  }
};

type Load = Awaited<ReturnType<typeof createLoad>>;

const measure = async (load: Load, seconds: number): Promise<Row> => {
  const entries = load.size();
  const full = await load.drive({ seconds });
  const perSecond = full.events / full.seconds;
  const paced = await load.drive({ seconds, perSecond: perSecond * pacedShare });
  const micros = (seconds: number) => (seconds / full.events) * 1e6;
  return {
    entries,
    perSecond,
    cpuMicros: micros(full.cpu.audit),
    natsMicros: micros(full.cpu.nats),
    senderMicros: micros(full.cpu.sender),
    p50Ms: quantile(paced.published, 0.5),
    p99Ms: quantile(paced.published, 0.99),
    cosignedP50Ms: quantile(paced.cosigned, 0.5),
    cosignedP99Ms: quantile(paced.cosigned, 0.99),
  };
};

interface Drive {
  seconds?: number;
  /** Until the log has so many entries. */
  upTo?: number;
  /** As fast as it goes without. */
  perSecond?: number;
}

const createLoad = async (stack: Stack) => {
  const producer = createProducer({
    bus: await stack.connect('ingress'),
    service: 'ingress',
    instance: 'bench',
    key: signingKeyFromSeed(readFileSync(join(stack.home, 'keys', 'sign', 'ingress.seed'), 'utf8').trim()),
    log: { warn: () => {}, error: () => {} },
    now: Date.now,
  });
  const pid = stack.pid('audit');
  const pids = { audit: pid, nats: stack.pid('nats-server'), sender: process.pid };
  const cpuOf = () => ({
    audit: cpuSeconds(pids.audit),
    nats: cpuSeconds(pids.nats),
    sender: cpuSeconds(pids.sender),
  });
  const checkpoint = join(stack.status.log.dir, 'checkpoint');
  /** The log signs once; whatever more there is is of a witness. */
  const published = () => {
    const note = parseNote(readFileSync(checkpoint));
    return { size: parseCheckpoint(note.text).size, isCosigned: note.signatures.length > 1 };
  };
  const size = () => published().size;
  const drive = async ({ seconds = Number.POSITIVE_INFINITY, upTo = Number.POSITIVE_INFINITY, perSecond }: Drive) => {
    const [before, cpuBefore, started] = [size(), cpuOf(), performance.now()];
    const [plain, cosigned] = [createWaiting(), createWaiting()];
    let [made, covered, witnessed] = [0, 0, 0];
    const look = () => {
      // Heartbeats of services count as ours: a handful among thousands.
      const { size: entries, isCosigned } = published();
      covered = entries - before;
      if (isCosigned) witnessed = covered;
      plain.reached(covered);
      cosigned.reached(witnessed);
    };
    for (let now = started; now - started < seconds * 1_000 && before + covered < upTo; now = performance.now()) {
      const due = perSecond === undefined ? covered + inFlight : ((now - started) / 1_000) * perSecond;
      for (; made < Math.min(due, covered + inFlight); made += 2) {
        recordCall(producer);
        if (made % sampledEvery === 0) for (const each of [plain, cosigned]) each.add(made + 2);
      }
      await sleep(lookMs);
      look();
    }
    const cpu = cpuOf();
    const result = {
      events: covered,
      seconds: (performance.now() - started) / 1_000,
      cpu: {
        audit: cpu.audit - cpuBefore.audit,
        nats: cpu.nats - cpuBefore.nats,
        sender: cpu.sender - cpuBefore.sender,
      },
      published: plain.latencies,
      cosigned: cosigned.latencies,
    };
    for (const until = performance.now() + lastMs; witnessed < made && performance.now() < until; ) {
      await sleep(lookMs);
      look();
    }
    return result;
  };
  return { size, drive, auditMiB: () => Math.round(peakMiB(pid)) };
};

/** Entries that are not covered yet, and how long those took that are. */
const createWaiting = () => {
  const waiting: { place: number; at: number }[] = [];
  const latencies: number[] = [];
  return {
    latencies,
    add: (place: number) => void waiting.push({ place, at: performance.now() }),
    reached: (covered: number) => {
      const now = performance.now();
      while (waiting[0] && waiting[0].place <= covered) latencies.push(now - (waiting.shift()?.at ?? now));
    },
  };
};

/** The two events of a call, of the usual size. */
const recordCall = (producer: Producer) => {
  const call = newId('call');
  const who = { tenant: 'default', agent: 'demo', session: 'ses_0123456789abcdef', subject: call };
  const failed = (error: unknown) => {
    throw error;
  };
  const timeout = { timeoutMs: 60_000 };
  const decision = { action: 'allow', code: 'OK', reason: 'granted by bench', rule: 'bench', obligations: {} } as const;
  const data = { call, tool: 'fast/echo', arguments: { text: 'x'.repeat(300) }, decision };
  producer
    .record({ name: 'call.decided', ...who, data: { ...data, deadline: Date.now() + 30_000 } }, timeout)
    .catch(failed);
  const outcome = { call, tool: 'fast/echo', outcome: 'ok', code: 'OK', duration_ms: 1.25, redacted: [] } as const;
  producer.record({ name: 'call.completed', ...who, data: { ...outcome, redacted: [] } }, timeout).catch(failed);
};

const report = (rows: Row[], auditMiB: number, json: boolean): boolean => {
  const [empty, grown] = rows as [Row, Row | undefined];
  const verdicts = {
    [`≥ ${goals.perSecond} events/s`]: rows.every((r) => r.perSecond >= goals.perSecond),
    [`event → checkpoint p99 ≤ ${goals.p99Ms} ms`]: rows.every((r) => r.p99Ms <= goals.p99Ms),
    [`audit ≤ ${goals.auditMiB} MiB`]: auditMiB <= goals.auditMiB,
    ...(grown && {
      [`cost when grown ≤ ${goals.ratioWhenGrown} ×`]: grown.cpuMicros <= goals.ratioWhenGrown * empty.cpuMicros,
    }),
  };
  const say = (line: string) => process.stdout.write(`${line}\n`);
  if (json) say(JSON.stringify({ rows, auditMiB, verdicts }));
  else {
    say('log before  events/s  CPU µs/event: audit  NATS  sender  checkpoint p50 ms  p99 ms  cosigned p50 ms  p99 ms');
    for (const r of rows) {
      const columns: [number, number][] = [
        [r.entries, 10],
        [r.perSecond, 10],
        [r.cpuMicros, 21],
        [r.natsMicros, 6],
        [r.senderMicros, 8],
        [r.p50Ms, 19],
        [r.p99Ms, 8],
        [r.cosignedP50Ms, 17],
        [r.cosignedP99Ms, 8],
      ];
      say(columns.map(([value, width]) => value.toFixed(0).padStart(width)).join(''));
    }
    say(`peak memory of audit: ${auditMiB} MiB`);
    for (const [goal, held] of Object.entries(verdicts)) say(`${held ? '✓' : '✗'} ${goal}`);
  }
  return Object.values(verdicts).every(Boolean);
};
