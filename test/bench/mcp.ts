import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cpuACall, openSession } from './calls.ts';
import type { LoadAsk, LoadResult } from './load.ts';
import { createChildren } from './processes.ts';
import { type BenchStack, startStack } from './stack.ts';

const load = fileURLToPath(new URL('./load.ts', import.meta.url));
const concurrencies = [1, 16, 64];

interface Row {
  what: string;
  c: number;
  result: LoadResult;
  /** Microseconds of mcp-edge's CPU a call. */
  edge: number;
}

/** `npm run bench -- mcp [--json] [--seconds N]`: the same call as an agent makes it over NATS, and over HTTP as an MCP client does. */
export const benchMcp = async ({ seconds, json }: { seconds: number; json: boolean }): Promise<boolean> => {
  const children = createChildren();
  let stack: BenchStack | undefined;
  try {
    stack = await startStack(children);
    const rows: Row[] = [];
    for (const [what, kind] of Object.entries(await kindsOf(stack))) {
      // A gate that serves is warm, and has found its tools.
      const warm: LoadAsk = { ...kind, c: 16, seconds: 1, warmSeconds: 4 };
      await children.start(load, [JSON.stringify(warm)]);
      for (const c of concurrencies) {
        const ask: LoadAsk = { ...kind, c, seconds, warmSeconds: 1 };
        const before = stack.cpu();
        const result = JSON.parse((await children.start(load, [JSON.stringify(ask)])).line) as LoadResult;
        rows.push({ what, c, result, edge: cpuACall(before, stack.cpu(), result)['mcp-edge'] ?? Number.NaN });
      }
    }
    return report(rows, stack.peaks()['mcp-edge'] ?? Number.NaN, json);
  } finally {
    await children.stop();
    await stack?.stop();
  }
};

const kindsOf = async (stack: BenchStack) => {
  const args = { text: 'x'.repeat(300) };
  const call = { v: 1, session: await openSession(stack), tool: 'fast/echo', arguments: args };
  const params = { name: 'fast__echo', arguments: args };
  return {
    'over NATS': {
      url: stack.status.nats,
      creds: stack.creds('agent-demo'),
      user: 'demo',
      subject: 'agent.demo.call',
      body: JSON.stringify(call),
      expect: '"status":"ok"',
    },
    'over MCP': {
      url: stack.status.mcp,
      token: readFileSync(stack.creds('agent-demo').replace(/\.creds$/, '.token'), 'utf8').trim(),
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      expect: '"status":"ok"',
    },
  };
};

const report = (rows: Row[], peakMiB: number, json: boolean): boolean => {
  const errors = rows.reduce((sum, { result }) => sum + result.errors, 0);
  if (json) process.stdout.write(`${JSON.stringify({ rows, peakMiB })}\n`);
  else {
    const say = (...cells: (string | number)[]) =>
      process.stdout.write(
        `${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(10) : String(cell).padStart(10))).join('')}\n`,
      );
    say('what', 'c', 'calls/s', 'p50 ms', 'p99 ms', 'edge µs', 'errors');
    for (const { what, c, result, edge } of rows)
      say(
        what,
        c,
        result.perSecond.toFixed(0),
        result.p50Ms.toFixed(2),
        result.p99Ms.toFixed(2),
        edge.toFixed(0),
        result.errors,
      );
    say(`peak memory of mcp-edge: ${peakMiB} MiB`);
    for (const { what, result } of rows.filter((row) => row.result.firstError)) say(`${what}: ${result.firstError}`);
  }
  return errors === 0;
};
