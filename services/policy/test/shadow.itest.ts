import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type DecideAsk, parseConfig } from '@agentgate/contracts';
import { binaryFolders, findBinary } from '@agentgate/ground';
import { type Instance, inputOf, outcomeOf, revisionOfConfig, startInstance } from '@agentgate/policy-engine';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createShadow, type Shadow } from '../src/shadow.ts';

// Policies that the real opa compiles, deciding in the shadow of an honest one, in workers of their own.

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });
const root = fileURLToPath(new URL('../../../', import.meta.url));
const opa = findBinary(['opa'], binaryFolders({ root, bin: process.env.AGENTGATE_BIN, path: process.env.PATH }));
const dir = mkdtempSync(join(tmpdir(), 'agentgate-shadow-'));
const run = promisify(execFile);
const memory = { recall: async () => [] };
const log = { warn: () => {}, error: () => {} };
const gate = parseConfig(
  `v: 1
tenants: { default: { agents: { demo: {} } } }
servers: { fs: { stdio: { command: ./fs } } }
grants: [{ id: a, to: { agents: [demo] }, tools: ["fs/*"], effect: allow }]
`,
  '/etc/agentgate/agentgate.yaml',
);
const committed = new Uint8Array(
  readFileSync(join(root, 'policies', 'bundle', 'policy.wasm')),
) as Uint8Array<ArrayBuffer>;

const compile = async (rego: string): Promise<Uint8Array<ArrayBuffer>> => {
  const folder = mkdtempSync(join(dir, 'rego-'));
  mkdirSync(join(folder, 'p'));
  writeFileSync(join(folder, 'p', 'decision.rego'), `package agentgate\n${rego}\nexplain := {}\n`);
  const out = join(folder, 'b.tar.gz');
  await run(opa, [
    'build',
    '-t',
    'wasm',
    '-e',
    'agentgate/decision',
    '-e',
    'agentgate/explain',
    '-o',
    out,
    join(folder, 'p'),
  ]);
  await run('tar', ['xzf', out, '-C', folder]);
  return new Uint8Array(await readFile(join(folder, 'policy.wasm')));
};
const start = (wasm: Uint8Array<ArrayBuffer>): Promise<Instance> =>
  startInstance({ revision: revisionOfConfig(gate, wasm), secrets: [], memory, log, spare: false, startMs: 20_000 });

let active: Instance;
let shadow: Shadow | undefined;
beforeAll(async () => {
  active = await start(committed);
});
afterEach(() => shadow?.close());
afterAll(async () => {
  await active.engine.close();
  rmSync(dir, { recursive: true, force: true });
});

const tool = {
  v: 1 as const,
  name: 'fs/write',
  description: '',
  input_schema: {},
  annotations: {},
  schema_digest: '0'.repeat(64),
  seen_at: '',
};
/** As the service does: the active policy decides, its answer goes out, the shadow is told. */
const decide = async (n: number): Promise<string> => {
  const who = { tenant: 'default', agent: 'demo' };
  const ask: DecideAsk = {
    ...who,
    call: `call_${String(n).padStart(10, '0')}`,
    session: 'ses_0000000001',
    tool: 'fs/write',
    arguments: { n },
    deadline: 0,
  };
  const asked = {
    ask,
    session: {
      ...who,
      openedAt: 0,
      expiresAt: 0,
      purpose: '',
      held: false,
      calls: 1,
      denied: 0,
      taint: { session: [], agent: [] },
    },
    tool,
    labels: [],
  };
  const [found] = await active.facts.find([asked]);
  if (!found) throw new Error('nothing was found');
  const input = inputOf({ asked, found, digest: '', flags: [], approval: null, now: 0 });
  const [evaluation] = await active.engine.decide([input]);
  if (!evaluation) throw new Error('no evaluation');
  const decision = outcomeOf(evaluation, { server: 'fs', credentials: {} });
  shadow?.offer([{ asked, size: 0, input, decision }], active.factsDigest);
  return `${decision.action} ${decision.rule}`;
};
const follow = async (rego: string) => {
  const wasm = await compile(rego);
  shadow = createShadow({ start: () => start(wasm), now: () => 0, log });
  await shadow.follow({ version: 1 });
  return shadow;
};
const decideAll = async (count: number) => {
  const answers = [];
  for (let n = 0; n < count; n++) answers.push(await decide(n));
  return new Set(answers);
};
const until = async (holds: () => boolean) => {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it did not come to that');
    await setTimeout(10);
  }
};

describe('in the shadow, a policy', () => {
  test('that decides otherwise is told of, call by call', async () => {
    const watching = await follow(
      'decision := {"action": "deny", "code": "POLICY_DENIED", "reason": "odd", "rule": "odd", "obligations": {}} if input.call.arguments.n % 2 == 1\nelse := {"action": "allow", "code": "OK", "reason": "even", "rule": "a", "obligations": {}}',
    );
    expect(await decideAll(10)).toEqual(new Set(['allow a']));
    await until(() => watching.told(0).totals.decided === 10);
    expect(watching.told(0)).toMatchObject({ state: 'on', totals: { differed: 5, failed: 0, dropped: 0 } });
    expect(watching.told(0).differences.map(({ call }) => Number(call.slice(5)))).toEqual([1, 3, 5, 7, 9]);
  });

  test.each([
    [
      'that hangs',
      'decision := {"n": count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == input.now])}',
    ],
    ['that throws', 'decision := x if some x in [{"action": "allow"}, {"action": "deny"}]'],
  ])('%s is given up, and the active one answers every call meanwhile and after', async (_, rego) => {
    const watching = await follow(rego);
    expect(await decideAll(40)).toEqual(new Set(['allow a']));
    let n = 40;
    while (watching.told(0).state === 'on' && n < 4_000) {
      expect(await decide(n++)).toBe('allow a');
      await setTimeout(5);
    }
    const { state, totals, differences } = watching.told(0);
    expect(state).toBe('gave_up');
    expect(totals).toMatchObject({ decided: 0, differed: 0 });
    expect(totals.failed).toBeGreaterThan(0);
    expect(differences).toEqual([]);
    expect(await decideAll(10)).toEqual(new Set(['allow a']));
    expect(active.engine.lost).toBe(0);
  });

  test('that floods with its answer has it left in its worker, and counts as one that cannot be used', async () => {
    const watching = await follow(
      'decision := {"action": "allow", "code": "OK", "reason": concat("", ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | some _ in numbers.range(1, 500)]), "rule": "a", "obligations": {"x": [numbers.range(1, 2000) | some _ in numbers.range(1, 40)]}}',
    );
    expect(await decideAll(10)).toEqual(new Set(['allow a']));
    await until(() => {
      const { decided, failed } = watching.told(0).totals;
      return decided + failed === 10;
    });
    expect(JSON.stringify(watching.told(0)).length).toBeLessThan(16_384);
    expect(watching.told(0).differences.every(({ shadow }) => shadow.code === 'POLICY_INVALID')).toBe(true);
  });
});
