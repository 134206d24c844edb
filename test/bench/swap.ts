import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectBus } from '@agentgate/bus';
import {
  batchAsk,
  executeAsk,
  type OperatorVerb,
  operatorSubject,
  operatorVerbs,
  type PolicyRevision,
  type PolicyRolloutAnswer,
  parseConfig,
  permit,
  runnerExecute,
} from '@agentgate/contracts';
import { signingKeyFromSeed } from '@agentgate/evidence';
import { bundleFiles, packBundle, revisionOfConfig, selfTests, signBundle } from '@agentgate/policy-engine';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { readEvidence } from '../evidence-reader.ts';
import { type Replica, replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';
import { quantile, residentMiB } from './figures.ts';
import type { LoadAsk, LoadResult } from './load.ts';
import { type Children, createChildren } from './processes.ts';
import { judgeSwaps, ruleOf, type SwapVerdict } from './swap-evidence.ts';

// Policies are swapped under calls, on two replicas: every call is decided, each by one revision and the same in its permit and its event, and
// memory stays where it was.

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const tool = 'fast/echo';
const config = (from: number) => `v: 1
tenants: { default: { agents: { demo: { labels: [bench] } } } }
servers: { fast: { nats: { subject: tool.v1.fast } } }
grants:
  - { id: "${ruleOf(from)}", to: { labels: [bench] }, tools: ["${tool}"], effect: allow }
`;
const c = 16;
const warmSeconds = 2;

export const benchSwap = async (ask: { json: boolean; seconds: number; swaps: number }): Promise<boolean> => {
  const children = createChildren();
  let stack: Stack | undefined;
  let replica: Replica | undefined;
  try {
    stack = await startStack({ config: () => config(0) });
    replica = await replicate(stack, 'policy');
    await children.start(here('./nats-echo.ts'), [stack.status.nats, join(stack.status.creds, 'tool-fast.creds')]);
    return report(await measure(children, { stack, replica }, ask), ask.json);
  } finally {
    await children.stop();
    await replica?.kill('SIGTERM');
    await stack?.stop();
  }
};

interface Measured extends SwapVerdict {
  quiet: LoadResult;
  swapping: LoadResult;
  asked: number;
  confirmed: number;
  /** Resident MiB of the two replicas together, after each swap. */
  memory: number[];
  decided: number;
}

const replicas = 2;

const measure = async (
  children: Children,
  { stack, replica }: { stack: Stack; replica: Replica },
  { seconds, swaps }: { seconds: number; swaps: number },
): Promise<Measured> => {
  const bus = await stack.connect('engineer');
  const say = <V extends OperatorVerb>(verb: V, body: object) =>
    bus.ask(operatorVerbs[verb] as never, body as never, { subject: operatorSubject('engineer', verb) });
  const archives = await bundlesOf(stack, swaps);
  const evidence = await readEvidence(stack);
  const wire = await permitsOf(stack);
  const load = await loadOf(stack, seconds);
  const run = async () => JSON.parse((await children.start(here('./load.ts'), [load])).line) as LoadResult;
  for (const archive of archives) await say('policy-push', { v: 1, bundle: Buffer.from(archive).toString('base64') });
  const quiet = await run();
  const during = { from: Date.now(), to: Number.POSITIVE_INFINITY };
  const loaded = run().finally(() => {
    during.to = Date.now();
  });
  await sleep(warmSeconds * 1000);
  const pids = [stack.pid('policy'), replica.pid];
  const memory: number[] = [];
  const epochs: number[] = [];
  for (let version = 1; version <= swaps; version++) {
    const began = performance.now();
    const body = { v: 1, version, reason: 'a benchmark' };
    const { status, epoch, replicas: told } = (await say('policy-activate', body)) as PolicyRolloutAnswer;
    if (status === 'activated' && told.length === replicas) epochs.push(epoch);
    memory.push(pids.reduce((sum, pid) => sum + Math.round(residentMiB(pid)), 0));
    await sleep(Math.max(0, (seconds * 1000) / swaps - (performance.now() - began)));
  }
  const swapping = await loaded;
  const { decisions, activations } = await settledEvidence(evidence, wire.permits.size);
  await Promise.all([wire.close(), evidence.close()]);
  const verdict = judgeSwaps({ decisions, activations, permits: wire.permits, replicas, epochs, load: during });
  return { quiet, swapping, asked: swaps, confirmed: epochs.length, memory, decided: decisions.length, ...verdict };
};

/** Hears what ingress hands to the runner: the permits as the runner gets them. No service's credentials may do that. */
const permitsOf = async (stack: Stack) => {
  const creds = await stack.mint('CORE', 'tap', [], [runnerExecute.subject]);
  const authenticator = credsAuthenticator(new TextEncoder().encode(creds));
  const nc = await connect({ servers: stack.status.nats, authenticator });
  const permits = new Map<string, PolicyRevision>();
  nc.subscribe(runnerExecute.subject, {
    callback: (_, msg) => {
      for (const { ask } of batchAsk.parse(msg.json()).items) {
        const { claims } = permit.parse(executeAsk.parse(ask).permit);
        permits.set(claims.call, claims.policy);
      }
    },
  });
  await nc.flush();
  return { permits, close: () => nc.close() };
};

/** What evidence holds of the load's calls, once it holds every one that ran. */
const settledEvidence = async (evidence: Awaited<ReturnType<typeof readEvidence>>, ran: number) => {
  const until = performance.now() + 30_000;
  while (evidence.all('call.completed').length < ran && performance.now() < until) await sleep(1_000);
  const calls = evidence.all('call.decided').filter(({ data }) => data.tool === tool);
  const decisions = calls.map(({ time, data: { call, policy, decision } }) => ({
    call,
    at: Date.parse(time),
    allowed: decision.action === 'allow',
    policy,
    rule: decision.rule,
  }));
  const activations = evidence.all('policy.activated').map(({ time, producerepoch, data }) => ({
    replica: producerepoch,
    at: Date.parse(time),
    epoch: data.epoch ?? 0,
    version: data.version ?? 0,
    policy: { revision: data.revision, digest: data.digest },
  }));
  return { decisions, activations };
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
          call: { tool },
          want: { action: 'allow', rule: ruleOf(version) },
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
    body: JSON.stringify({ v: 1, session, tool, arguments: { text: 'x'.repeat(300) } }),
    c,
    seconds,
    warmSeconds,
    expect: '"status":"ok"',
  };
  return JSON.stringify(ask);
};

const median = (values: number[]) => quantile(values, 0.5);

const report = (m: Measured, json: boolean): boolean => {
  const fifth = Math.max(1, Math.floor(m.memory.length / 5));
  const [early, late] = [median(m.memory.slice(fifth, 2 * fifth)), median(m.memory.slice(-fifth))];
  const verdicts = {
    'no call lost': m.quiet.errors + m.swapping.errors === 0,
    'every swap confirmed by both replicas': m.confirmed === m.asked,
    'each decision by the rule of its own revision': m.mixed === 0 && m.decided > 0,
    'each permit of the same revision as its event':
      m.permits.differ === 0 && m.permits.missing === 0 && m.permits.seen > 0,
    'both replicas by the same policy in each epoch': m.apart === 0,
    'no decision by a revision that was over': m.late === 0,
    // What is active by its event decides some milliseconds later, and a busy machine may let nobody run for as long.
    'nine in ten of the revisions that were active under load for 200 ms decided calls':
      m.reigns.long > 0 && m.reigns.unmet <= m.reigns.long / 10,
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
    row(`${m.confirmed} swaps`, m.swapping);
    say(
      `${m.decided} decisions, ${m.permits.seen} permits; of the revisions ${m.reigns.long} were active under load for 200 ms, ${m.reigns.unmet} of them met by no call, and ${m.reigns.short} were not (the last ones come when the load has ended); two policies ${early} MiB early, ${late} MiB at the end`,
    );
    for (const [goal, held] of Object.entries(verdicts)) say(`${held ? '✓' : '✗'} ${goal}`);
  }
  return Object.values(verdicts).every(Boolean);
};
