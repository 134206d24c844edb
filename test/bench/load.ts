import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { connectBus } from '@agentgate/bus';
import { quantile } from './figures.ts';

// A process of its own that keeps `c` requests in flight for `seconds` and prints what it saw as one line of JSON.
// Its only argument is JSON: { url, creds, user, subject, body, c, seconds, warmSeconds, expect }, or with `token` in place of the NATS ones.

/** Over NATS, or over HTTP with a bearer token. */
export type LoadAsk = Load & ({ creds: string; user: string; subject: string } | { token: string });
interface Load {
  url: string;
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
const decoder = new TextDecoder();
const openNats = async ({ url, creds, user, subject, body }: Extract<LoadAsk, { creds: string }>) => {
  const bus = await connectBus({
    servers: url,
    creds: readFileSync(creds, 'utf8'),
    user,
    instance: `load-${process.pid}`,
  });
  const send = async () => decoder.decode(await bus.requestRaw(subject, body, { of: 'ingress', timeoutMs: 20_000 }));
  return { send, close: () => bus.close() };
};
const openHttp = ({ url, token, body }: Extract<LoadAsk, { token: string }>) => {
  const agent = new Agent({ keepAlive: true });
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'content-length': Buffer.byteLength(body),
  };
  const send = () =>
    new Promise<string>((resolve, reject) => {
      const req = request(url, { method: 'POST', agent, headers }, (res) => text(res).then(resolve, reject));
      req.on('error', reject);
      req.end(body);
    });
  return { send, close: async () => agent.destroy() };
};
const { send, close } = 'token' in ask ? openHttp(ask) : await openNats(ask);
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
      const reply = await send();
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
await close();
