import { readFileSync } from 'node:fs';
import { connectBus } from '@agentgate/bus';
import { quantile } from './figures.ts';

// A process of its own that keeps `c` requests in flight for `seconds` and prints what it saw as one line of JSON.
// Its only argument is JSON: { url, creds, user, subject, body, c, seconds, warmSeconds, expect }.

export interface LoadAsk {
  url: string;
  /** A credentials file. */
  creds: string;
  user: string;
  subject: string;
  body: string;
  c: number;
  seconds: number;
  warmSeconds: number;
  /** What every reply must contain; anything else counts as an error. */
  expect: string;
}
export interface LoadResult {
  /** Those that were timed. */
  calls: number;
  /** With those of the warm-up. */
  allCalls: number;
  errors: number;
  firstError: string;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

const ask = JSON.parse(process.argv[2] ?? '{}') as LoadAsk;
const bus = await connectBus({
  servers: ask.url,
  creds: readFileSync(ask.creds, 'utf8'),
  user: ask.user,
  instance: `load-${process.pid}`,
});
const decoder = new TextDecoder();
const times: number[] = [];
let allCalls = 0;
let errors = 0;
let firstError = '';
const fail = (what: string) => {
  errors++;
  firstError ||= what.slice(0, 300);
};

const worker = async (until: number, note: boolean) => {
  while (performance.now() < until) {
    const started = performance.now();
    try {
      const reply = decoder.decode(await bus.requestRaw(ask.subject, ask.body, { of: 'ingress', timeoutMs: 20_000 }));
      allCalls++;
      if (!reply.includes(ask.expect)) fail(reply);
      else if (note) times.push(performance.now() - started);
    } catch (error) {
      fail(String(error));
    }
  }
};
const run = async (seconds: number, note: boolean) => {
  const started = performance.now();
  await Promise.all(Array.from({ length: ask.c }, () => worker(started + seconds * 1000, note)));
  return (performance.now() - started) / 1000;
};

await run(ask.warmSeconds, false);
const took = await run(ask.seconds, true);
const result: LoadResult = {
  calls: times.length,
  allCalls,
  errors,
  firstError,
  perSecond: times.length / took,
  p50Ms: quantile(times, 0.5),
  p99Ms: quantile(times, 0.99),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
await bus.close();
