import { type AlertsAnswer, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import { freePort, type Ground, startGround } from '@agentgate/testkit';
import { createEvidenceWriter } from '../../services/notifier/test/evidence-writer.ts';
import { configOf, type NotifierProcess, startNotifier } from '../../services/notifier/test/notifier-process.ts';
import { type Receiver, startReceiver } from '../../services/notifier/test/receiver.ts';
import { cpuSeconds, peakMiB, quantile } from './figures.ts';

// A notifier in its own process with a real nats-server and real HTTP receivers: many kills at once, to one that takes each at once, to one
// that is not there, and to one that answers just before it is too late, with a quick one beside it. All the while an operator asks what waits.

const written = 64;
const slowMs = 9_000;
const laterMs = 10_000;
const askEveryMs = 200;
const patienceMs = 600_000;

interface Row {
  receiver: string;
  /** From the first event until every one was delivered, or tried once, or on record as waiting. */
  seconds: number;
  per_second: number;
  peak_mib: number;
  /** Of a core, in the ten seconds after. */
  later_cpu_percent?: number;
  alerts_p50_ms: number;
  alerts_max_ms: number;
  /** Of the notifier, for all of it. */
  cpu_s: number;
  log_lines: number;
}

interface Bench {
  events: number;
  ground: Ground;
  notifier: NotifierProcess;
  ask(): Promise<AlertsAnswer>;
  write(): Promise<void>;
}

const here = (port: number) => ({ url: `http://127.0.0.1:${port}/hook`, allow_http: true, allow_private: true });

const open = async (events: number, endpoints: Record<string, object>): Promise<Bench> => {
  const ground = await startGround({ redis: false, config: configOf({}) });
  const audit = await ground.connect('audit-log');
  const operator = await ground.connect('operator');
  const writer = createEvidenceWriter(audit, { service: 'kill-switch', key: ground.key('kill-switch') });
  const notifier = await startNotifier(ground, endpoints);
  const subject = operatorSubject('operator', 'alerts');
  return {
    events,
    ground,
    notifier,
    ask: async () => {
      const answer = await operator.ask(
        operatorVerbs.alerts,
        { v: 1, state: 'waiting' },
        { subject, timeoutMs: 30_000 },
      );
      if (!('alerts' in answer)) throw new Error(answer.reason);
      return answer;
    },
    write: async () => {
      const kill = { epoch: 1, scope: { kind: 'agent', id: 'demo' }, reason: 'a benchmark', by: 'olga' };
      for (let i = 0; i < events; i += written)
        await Promise.all(Array.from({ length: Math.min(written, events - i) }, () => writer('kill.ordered', kill)));
    },
  };
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes all events, and asks what waits until `isDone`. */
const measure = async (
  receiver: string,
  {
    bench,
    isDone,
    looksOn,
  }: { bench: Bench; isDone(answer: AlertsAnswer): boolean | Promise<boolean>; looksOn: boolean },
): Promise<Row> => {
  const asked: number[] = [];
  const began = performance.now();
  const writing = bench.write();
  for (let done = false; !done; ) {
    if (performance.now() - began > patienceMs) throw new Error(`${receiver}: not done within ${patienceMs} ms`);
    const at = performance.now();
    const answer = await bench.ask();
    asked.push(performance.now() - at);
    done = await isDone(answer);
    if (!done) await sleep(askEveryMs);
  }
  await writing;
  const seconds = (performance.now() - began) / 1_000;
  const { pid } = bench.notifier;
  const cpu = cpuSeconds(pid);
  if (looksOn) await sleep(laterMs);
  return {
    receiver,
    seconds,
    per_second: bench.events / seconds,
    peak_mib: peakMiB(pid),
    ...(looksOn && { later_cpu_percent: ((cpuSeconds(pid) - cpu) / laterMs) * 100_000 }),
    alerts_p50_ms: quantile(asked, 0.5),
    alerts_max_ms: Math.max(...asked),
    cpu_s: cpu,
    log_lines: bench.notifier.output().split('\n').length - 1,
  };
};

const withNotifier = async <T>(
  events: number,
  endpoints: Record<string, object>,
  work: (bench: Bench) => Promise<T>,
): Promise<T> => {
  const bench = await open(events, endpoints);
  try {
    return await work(bench);
  } finally {
    await bench.notifier.kill('SIGTERM');
    await bench.ground.stop();
  }
};

const quick = async (events: number, receiver: Receiver): Promise<Row> =>
  withNotifier(events, { quick: here(receiver.port) }, (bench) =>
    measure('takes each at once', { bench, looksOn: false, isDone: () => receiver.heard.length >= events }),
  );

const triesOf = async (notifier: NotifierProcess, endpoint: string): Promise<number> =>
  [...(await notifier.metrics()).matchAll(/^agentgate_alerts_tries_total\{(.*)\} (\d+)$/gm)]
    .filter(([, labels]) => labels?.includes(`endpoint="${endpoint}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0);

const dead = async (events: number): Promise<Row> =>
  withNotifier(events, { dead: here(await freePort()) }, (bench) =>
    measure('is not there: tried once', {
      bench,
      looksOn: true,
      isDone: async ({ endpoints: [dead] }) =>
        dead?.waiting === events && (await triesOf(bench.notifier, 'dead')) >= events,
    }),
  );

const slow = async (events: number, receiver: Receiver): Promise<Row> => {
  const slowly = await startReceiver();
  slowly.answer = (_, res) => void setTimeout(() => res.writeHead(204).end(), slowMs).unref();
  try {
    return await withNotifier(events, { quick: here(receiver.port), slow: here(slowly.port) }, (bench) =>
      measure(`beside one that takes ${slowMs / 1_000} s`, {
        bench,
        looksOn: true,
        isDone: () => receiver.heard.length >= events,
      }),
    );
  } finally {
    await slowly.close();
  }
};

export const benchAlerts = async ({ json, events }: { json: boolean; events: number }): Promise<boolean> => {
  const rows: Row[] = [];
  for (const run of [quick, dead, slow]) {
    const receiver = await startReceiver();
    try {
      rows.push(await run(events, receiver));
    } finally {
      await receiver.close();
    }
    if (!json) tell(events, rows);
  }
  if (json) process.stdout.write(`${JSON.stringify({ events, rows })}\n`);
  return true;
};

const tell = (events: number, rows: Row[]): void => {
  const line = (...cells: string[]) =>
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(26) : cell.padStart(12))).join('')}\n`;
  const row = rows.at(-1);
  if (rows.length === 1)
    process.stdout.write(
      line(`${events} events`, 'all after', 'a second', 'peak', 'CPU after', 'alerts p50', 'max', 'CPU', 'log lines'),
    );
  if (!row) return;
  process.stdout.write(
    line(
      row.receiver,
      `${row.seconds.toFixed(1)} s`,
      row.per_second.toFixed(0),
      `${row.peak_mib.toFixed(0)} MiB`,
      row.later_cpu_percent === undefined ? '–' : `${row.later_cpu_percent.toFixed(1)} %`,
      `${row.alerts_p50_ms.toFixed(0)} ms`,
      `${row.alerts_max_ms.toFixed(0)} ms`,
      `${row.cpu_s.toFixed(1)} s`,
      String(row.log_lines),
    ),
  );
};
