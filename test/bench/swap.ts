import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectBus } from '@agentgate/bus';
import { operatorSubject, operatorVerbs, type PolicyRolloutAnswer, parseConfig } from '@agentgate/contracts';
import { signingKeyFromSeed } from '@agentgate/evidence';
import { bundleFiles, packBundle, revisionOfConfig, selfTests, signBundle } from '@agentgate/policy-engine';
import { readEvidence } from '../evidence-reader.ts';
import { type Stack, startStack } from '../stack.ts';
import type { LoadAsk, LoadResult } from './load.ts';
import { type Children, createChildren } from './processes.ts';

// Policies are swapped under calls: every call is decided, each by one revision, and memory stays where it was.

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const config = (from: number) => `v: 1
tenants: { default: { agents: { demo: { labels: [bench] } } } }
servers: { fast: { nats: { subject: tool.v1.fast } } }
grants:
  - { id: "bench-${from}", to: { labels: [bench] }, tools: ["fast/echo"], effect: allow }
`;
const c = 16;

export const benchSwap = async (ask: { json: boolean; seconds: number; swaps: number }): Promise<boolean> => {
  const children = createChildren();
  let stack: Stack | undefined;
  try {
    stack = await startStack({ config: () => config(0) });
    await children.start(here('./nats-echo.ts'), [stack.status.nats, join(stack.status.creds, 'tool-fast.creds')]);
    return report(await measure(children, stack, ask), ask.json);
  } finally {
    await children.stop();
    await stack?.stop();
  }
};

interface Measured {
  quiet: LoadResult;
  swapping: LoadResult;
  swapped: number;
  memory: number[];
  mixed: number;
  decided: number;
  revisions: number;
}

const measure = async (
  children: Children,
  stack: Stack,
  { seconds, swaps }: { seconds: number; swaps: number },
): Promise<Measured> => {
  const engineer = await stack.connect('engineer');
  const archives = await bundlesOf(stack, swaps);
  const evidence = await readEvidence(stack);
  const load = await loadOf(stack, seconds);
  const run = async () => JSON.parse((await children.start(here('./load.ts'), [load])).line) as LoadResult;
  for (const archive of archives)
    await engineer.ask(
      operatorVerbs['policy-push'],
      { v: 1, bundle: Buffer.from(archive).toString('base64') },
      { subject: operatorSubject('engineer', 'policy-push') },
    );
  const quiet = await run();
  const memory: number[] = [];
  const loaded = run();
  await sleep(2_000);
  const pid = stack.pid('policy');
  let swapped = 0;
  for (let version = 1; version <= swaps; version++) {
    const began = performance.now();
    const answer = await engineer.ask(
      operatorVerbs['policy-activate'],
      { v: 1, version, reason: 'a benchmark' },
      { subject: operatorSubject('engineer', 'policy-activate') },
    );
    if ((answer as PolicyRolloutAnswer).status === 'activated') swapped++;
    memory.push(residentMiB(pid));
    await sleep(Math.max(0, (seconds * 1000) / swaps - (performance.now() - began)));
  }
  const swapping = await loaded;
  await sleep(3_000);
  return { quiet, swapping, swapped, memory, ...decisionsIn(evidence) };
};

/** Whether each call was decided by a revision that its own rule is of: rule and revision change together. */
const decisionsIn = (evidence: Awaited<ReturnType<typeof readEvidence>>) => {
  const ruleOf = new Map<string, Set<string | undefined>>();
  const decided = evidence.all('call.decided');
  for (const { data } of decided) {
    const revision = data.policy?.revision ?? 'none';
    ruleOf.set(revision, (ruleOf.get(revision) ?? new Set()).add(data.decision.rule));
  }
  const mixed = [...ruleOf.values()].filter((rules) => rules.size !== 1).length;
  return { mixed, decided: decided.length, revisions: ruleOf.size };
};

const bundlesOf = async (stack: Stack, count: number): Promise<Uint8Array[]> => {
  const key = signingKeyFromSeed(readFileSync(join(stack.home, 'keys', 'policy-author.seed'), 'utf8').trim());
  const wasm = new Uint8Array(readFileSync(here('../../policies/bundle/policy.wasm')));
  const archives: Uint8Array[] = [];
  for (let version = 1; version <= count; version++) {
    const gate = parseConfig(config(version), join(stack.dir, 'agentgate.yaml'));
    const { cases } = selfTests.parse({
      v: 1,
      cases: [
        {
          name: 'echo',
          agent: { name: 'demo', labels: ['bench'] },
          call: { tool: 'fast/echo' },
          want: { action: 'allow', rule: `bench-${version}` },
        },
      ],
    });
    archives.push(await packBundle(await signBundle(bundleFiles(revisionOfConfig(gate, wasm), version, cases), key)));
  }
  return archives;
};

const loadOf = async (stack: Stack, seconds: number): Promise<string> => {
  const creds = join(stack.status.creds, 'agent-demo.creds');
  const bus = await connectBus({
    servers: stack.status.nats,
    creds: readFileSync(creds, 'utf8'),
    user: 'demo',
    instance: 'bench',
  });
  const reply = await bus.requestRaw('agent.demo.session', '{"v":1}', { of: 'ingress', timeoutMs: 5_000 });
  await bus.close();
  const { session } = JSON.parse(new TextDecoder().decode(reply)) as { session: string };
  const ask: LoadAsk = {
    url: stack.status.nats,
    creds,
    user: 'demo',
    subject: 'agent.demo.call',
    body: JSON.stringify({ v: 1, session, tool: 'fast/echo', arguments: { text: 'x'.repeat(300) } }),
    c,
    seconds,
    warmSeconds: 2,
    expect: '"status":"ok"',
  };
  return JSON.stringify(ask);
};

const residentMiB = (pid: number): number =>
  Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024);

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const report = (m: Measured, json: boolean): boolean => {
  const fifth = Math.max(1, Math.floor(m.memory.length / 5));
  const [early, late] = [median(m.memory.slice(fifth, 2 * fifth)), median(m.memory.slice(-fifth))];
  const verdicts = {
    'no call lost': m.quiet.errors + m.swapping.errors === 0,
    'every swap confirmed': m.swapped === m.memory.length,
    'no revision decided by another one’s rule': m.mixed === 0 && m.revisions === m.swapped + 1,
    'p99 ≤ 2 × that without': m.swapping.p99Ms <= 2 * m.quiet.p99Ms,
    'memory at the end ≤ 1.1 × that after a fifth': late <= 1.1 * early,
  };
  if (json) process.stdout.write(`${JSON.stringify({ ...m, verdicts })}\n`);
  else {
    const say = (line: string) => process.stdout.write(`${line}\n`);
    const row = (what: string, r: LoadResult) =>
      say(
        `${what.padEnd(18)}${r.perSecond.toFixed(0).padStart(8)} calls/s  p50 ${r.p50Ms.toFixed(1)} ms  p99 ${r.p99Ms.toFixed(1)} ms  lost ${r.errors} ${r.firstError}`,
      );
    row('without', m.quiet);
    row(`${m.swapped} swaps`, m.swapping);
    say(`${m.decided} decisions by ${m.revisions} revisions; policy ${early} MiB early, ${late} MiB at the end`);
    for (const [goal, held] of Object.entries(verdicts)) say(`${held ? '✓' : '✗'} ${goal}`);
  }
  return Object.values(verdicts).every(Boolean);
};
