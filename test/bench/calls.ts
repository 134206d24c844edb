import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connectBus } from '@agentgate/bus';
import type { LoadAsk, LoadResult } from './load.ts';
import { type Children, createChildren } from './processes.ts';
import { type BenchStack, startStack } from './stack.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const concurrencies = [1, 16, 64, 256];

interface Row {
  what: string;
  c: number;
  result: LoadResult;
  /** Microseconds a call, with what runs behind it. */
  cpu: Record<string, number>;
}
/** What the project promises of itself on two cores. */
const goals = { perSecondAt256: 5_000, ratioAt1: 15, serviceMiB: 150 };

/** `npm run bench -- calls [--json] [--seconds N]`: calls through the gate, beside bare NATS request/reply in the same run. */
export const benchCalls = async ({ seconds, json }: { seconds: number; json: boolean }): Promise<boolean> => {
  const children = createChildren();
  let stack: BenchStack | undefined;
  try {
    stack = await startStack(children);
    const rows = await measure(children, stack, seconds);
    const peaks = stack.peaks();
    return report(rows, peaks, json);
  } finally {
    await children.stop();
    await stack?.stop();
  }
};

const measure = async (children: Children, stack: BenchStack, seconds: number): Promise<Row[]> => {
  const bareCreds = await stack.bareCreds();
  await children.start(here('./responder.ts'), [stack.status.nats, bareCreds, 'bare', 'bench.bare']);
  const body = { v: 1, session: await openSession(stack), tool: '', arguments: { text: 'x'.repeat(300) } };
  const demo = { creds: stack.creds('agent-demo'), user: 'demo', subject: 'agent.demo.call', expect: '"status":"ok"' };
  const kinds: Record<string, Omit<Extract<LoadAsk, { creds: string }>, 'url' | 'c' | 'seconds' | 'warmSeconds'>> = {
    'bare NATS': {
      creds: bareCreds,
      user: 'bare',
      subject: 'bench.bare',
      body: JSON.stringify({ ...body, tool: 'bare' }),
      expect: '"status":"ok"',
    },
    'gate, tool on NATS': { ...demo, body: JSON.stringify({ ...body, tool: 'fast/echo' }) },
    'gate, MCP over stdio': { ...demo, body: JSON.stringify({ ...body, tool: 'mcp/echo' }) },
  };
  const rows: Row[] = [];
  for (const [what, kind] of Object.entries(kinds)) {
    // A gate that serves is warm; without this, c=1 would measure Node's interpreter.
    const warm: LoadAsk = { url: stack.status.nats, c: 64, seconds: 1, warmSeconds: 5, ...kind };
    await children.start(here('./load.ts'), [JSON.stringify(warm)]);
    for (const c of concurrencies) {
      const ask: LoadAsk = { url: stack.status.nats, c, seconds, warmSeconds: 2, ...kind };
      const before = stack.cpu();
      const { line } = await children.start(here('./load.ts'), [JSON.stringify(ask)]);
      const result = JSON.parse(line) as LoadResult;
      rows.push({ what, c, result, cpu: cpuACall(before, stack.cpu(), result) });
    }
  }
  return rows;
};

export const cpuACall = (before: Record<string, number>, after: Record<string, number>, { allCalls }: LoadResult) =>
  Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => [name, ((seconds - (before[name] ?? 0)) / allCalls) * 1e6]),
  );

export const openSession = async (stack: BenchStack): Promise<string> => {
  const bus = await connectBus({
    servers: stack.status.nats,
    creds: readFileSync(stack.creds('agent-demo'), 'utf8'),
    user: 'demo',
    instance: 'bench',
  });
  const reply = await bus.requestRaw('agent.demo.session', '{"v":1,"purpose":"benchmark"}', {
    of: 'ingress',
    timeoutMs: 5_000,
  });
  await bus.close();
  return (JSON.parse(new TextDecoder().decode(reply)) as { session: string }).session;
};

const report = (rows: Row[], peaks: Record<string, number>, json: boolean): boolean => {
  const bare = new Map(rows.filter((r) => r.what === 'bare NATS').map((r) => [r.c, r.result]));
  const ratio = (r: Row) => r.result.p50Ms / (bare.get(r.c)?.p50Ms ?? Number.NaN);
  const gated = (c: number) => rows.find((r) => r.what === 'gate, tool on NATS' && r.c === c) as Row;
  const errors = rows.reduce((sum, r) => sum + r.result.errors, 0);
  const verdicts = {
    [`≥ ${goals.perSecondAt256} calls/s at c=256`]: gated(256).result.perSecond >= goals.perSecondAt256,
    [`p50 at c=1 ≤ ${goals.ratioAt1} × the bare round trip`]: ratio(gated(1)) <= goals.ratioAt1,
    [`each service ≤ ${goals.serviceMiB} MiB`]: Object.values(peaks).every((mib) => mib <= goals.serviceMiB),
    'no call failed': errors === 0,
  };
  if (json) process.stdout.write(`${JSON.stringify({ rows, peaks, verdicts })}\n`);
  else printTable(rows, ratio, peaks, verdicts);
  return Object.values(verdicts).every(Boolean);
};

const printTable = (
  rows: Row[],
  ratio: (r: Row) => number,
  peaks: Record<string, number>,
  verdicts: Record<string, boolean>,
) => {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(
    `${'what'.padEnd(22)}${'c'.padStart(5)}${'calls/s'.padStart(10)}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)}${'× bare'.padStart(9)}${'errors'.padStart(8)}`,
  );
  for (const r of rows)
    say(
      `${r.what.padEnd(22)}${String(r.c).padStart(5)}${r.result.perSecond.toFixed(0).padStart(10)}${r.result.p50Ms.toFixed(2).padStart(9)}${r.result.p99Ms.toFixed(2).padStart(9)}${ratio(r).toFixed(1).padStart(9)}${String(r.result.errors).padStart(8)}`,
    );
  for (const r of rows.filter((row) => row.result.firstError)) say(`  ${r.what}, c=${r.c}: ${r.result.firstError}`);
  for (const { c, cpu } of rows.filter((row) => row.what === 'gate, tool on NATS' && [1, 256].includes(row.c)))
    say(
      `CPU a call at c=${c}, µs: ${Object.entries(cpu)
        .map(([program, us]) => `${program} ${us.toFixed(0)}`)
        .join(', ')}`,
    );
  say(
    `peak memory, MiB: ${Object.entries(peaks)
      .map(([service, mib]) => `${service} ${mib}`)
      .join(', ')}`,
  );
  for (const [goal, held] of Object.entries(verdicts)) say(`${held ? '✓' : '✗'} ${goal}`);
};
