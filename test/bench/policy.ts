import { readFileSync } from 'node:fs';
import { type CatalogTool, type DecideAsk, packs, parseConfig } from '@agentgate/contracts';
import {
  compileGrants,
  createEvaluator,
  createFactFinder,
  type PolicyInput,
  type SessionFacts,
  splitTool,
} from '@agentgate/policy-engine';
import { quantile } from './figures.ts';

// One decision in process, as the policy service makes it: what is found out before the engine, and the engine. No servers.

const toolCount = 1_000;
const grantCount = 10_000;
const rounds = 5_000;
const goalUs = 50;

const toolName = (i: number) => `s${i % 20}/${['read', 'send', 'update', 'list', 'delete'][i % 5]}_thing_${i}`;

const configWith = (on: readonly string[]) => {
  const grants = Array.from({ length: grantCount }, (_, i) => ({
    id: `g${i}`,
    to: i % 4 === 0 ? { labels: [`team-${i % 49}`] } : { agents: [`agent-${i % 200}`] },
    tools: [toolName(i % toolCount), ...(i % 50 === 1 ? [`s${i % 19}/read_*`] : [])],
    ...(i % 3 === 0 ? { where: { '/path': { under: `/srv/${i}`, optional: true } } } : {}),
    effect: 'allow',
  }));
  const servers = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`s${i}`, { nats: { subject: `tool.v1.s${i}` } }]),
  );
  const source = { v: 1, tenants: { default: {} }, servers, grants, policy: { packs: on } };
  return parseConfig(JSON.stringify(source), '/bench/agentgate.yaml');
};

interface Timing {
  p50_us: number;
  p99_us: number;
}
const timing = (us: number[]): Timing => ({ p50_us: quantile(us, 0.5), p99_us: quantile(us, 0.99) });

const measure = async (on: readonly string[]): Promise<{ facts: Timing; engine: Timing; allowed: number }> => {
  const config = configWith(on);
  const bundle = new URL('../../policies/bundle/policy.wasm', import.meta.url);
  const evaluate = await createEvaluator(
    compileGrants(config),
    new WebAssembly.Module(new Uint8Array(readFileSync(bundle))),
  );
  const finder = createFactFinder({
    tools: config.tools,
    policy: config.policy,
    secrets: [],
    memory: {
      recall: async (asked) => asked.map(() => ({ sources: new Map(), written: new Set(), used: 0, full: false })),
    },
  });
  const catalog = Array.from({ length: toolCount }, (_, i): CatalogTool => {
    const properties = { path: { type: 'string' }, to: { type: 'string' }, body: { type: 'string' } };
    const input_schema = { type: 'object', properties };
    const base = { v: 1 as const, schema_digest: 'a'.repeat(64), seen_at: '2026-01-01T00:00:00Z', annotations: {} };
    return { ...base, name: toolName(i), description: 'Does a thing.', input_schema };
  });
  const purpose = 'Send the notes of the meeting to ann@example.com and update the list.';
  const us = { facts: [] as number[], engine: [] as number[] };
  let allowed = 0;
  for (let i = 0; i < rounds; i++) {
    const tool = catalog[(i * 7) % toolCount];
    if (!tool) continue;
    const ask: DecideAsk = {
      call: 'call_0000000001',
      tenant: 'default',
      agent: `agent-${(i * 7) % 200}`,
      session: 'ses_0000000001',
      tool: tool.name,
      arguments: { path: `/srv/${(i * 7) % toolCount}/a.txt`, to: 'ann@example.com', body: 'Here are the notes.' },
      deadline: Number.MAX_SAFE_INTEGER,
    };
    const session: SessionFacts = {
      ...{ tenant: 'default', agent: ask.agent, openedAt: 0, expiresAt: Number.MAX_SAFE_INTEGER, purpose },
      ...{ held: false, calls: i, denied: 0, taint: { session: [], agent: [] } },
    };
    const begun = performance.now();
    const [found] = await finder.find([{ ask, session, tool }]);
    if (!found) throw new Error('no facts');
    const between = performance.now();
    const input: PolicyInput = {
      call: { tool: tool.name, ...splitTool(tool.name), arguments: ask.arguments, digest: 'b'.repeat(64) },
      tool: { labels: found.labels, annotations: {}, schema_digest: tool.schema_digest, pinned: true, flags: [] },
      agent: { name: ask.agent, tenant: 'default', labels: [`team-${i % 49}`] },
      session: { id: ask.session, age_s: 1, purpose, taint: [], calls: i, denied: 0 },
      provenance: found.provenance,
      approval: null,
      now: 1_700_000_000_000,
      facts: found.facts,
    };
    const answer = evaluate(input);
    const ended = performance.now();
    if ('fault' in answer || answer.result === undefined) throw new Error('undecided');
    if ((answer.result as { action: string }).action === 'allow') allowed++;
    // The first thousand warm the engine up.
    if (i < 1_000) continue;
    us.facts.push((between - begun) * 1_000);
    us.engine.push((ended - between) * 1_000);
  }
  return { facts: timing(us.facts), engine: timing(us.engine), allowed };
};

/** Prints how long one decision takes, with `baseline` alone and with all packs. False when nothing could be measured. */
export const benchPolicy = async ({ json }: { json: boolean }): Promise<boolean> => {
  const figures = { baseline: await measure(['baseline']), all_packs: await measure(packs) };
  if (json) {
    console.log(JSON.stringify({ tools: toolCount, grants: grantCount, ...figures }));
    return true;
  }
  console.log(`one decision, ${toolCount} tools, ${grantCount} grants; µs`);
  for (const [name, { facts, engine }] of Object.entries(figures)) {
    const us = ({ p50_us, p99_us }: Timing) => `p50 ${p50_us.toFixed(1)}, p99 ${p99_us.toFixed(1)}`;
    console.log(`${name.padEnd(10)} facts: ${us(facts)}   engine: ${us(engine)}`);
  }
  const p50 = figures.baseline.engine.p50_us + figures.baseline.facts.p50_us;
  console.log(`${p50 <= goalUs ? '✓' : '✗'} p50 ≤ ${goalUs} µs with the default pack (${p50.toFixed(1)})`);
  return true;
};
