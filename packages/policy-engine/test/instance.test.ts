import { AgentGateError } from '@agentgate/contracts';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { openBundle, type Revision, revisionOfConfig } from '../src/bundle/revision.ts';
import { runSelfTests } from '../src/bundle/self-tests.ts';
import { type Instance, startInstance } from '../src/instance.ts';
import { authors, cases, committedWasm, gate, signedBundle } from './bundle/bundles.ts';

const memory = { recall: () => Promise.reject(new Error('nothing was asked')) };
const log = { warn: () => {}, error: () => {} };
// A worker is a thread with a heap of its own, and takes its time on a busy machine.
vi.setConfig({ testTimeout: 30_000 });
const started: Instance[] = [];
afterEach(() => Promise.all(started.splice(0).map(({ engine }) => engine.close())));

const start = async (revision: Revision) => {
  const instance = await startInstance({ revision, secrets: [], memory, log, spare: false, startMs: 20_000 });
  started.push(instance);
  return instance;
};

/** Where the section after that one begins; sizes are LEB128. */
const sectionAfter = (wasm: Uint8Array, id: number): number => {
  let at = 8;
  for (;;) {
    const isIt = wasm[at] === id;
    let length = 0;
    let shift = 0;
    let byte: number;
    do {
      byte = wasm[++at] ?? 0;
      length |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    at += 1 + length;
    if (isIt) return at;
  }
};

test('a bundle decides as its cases say, beside another', async () => {
  const one = await start(await openBundle(await signedBundle(), authors));
  const two = await start(revisionOfConfig(gate('  []'), committedWasm()));
  expect(one.version).toBe(1);
  expect(two.version).toBe(0);
  expect(one.revision.digest).not.toBe(two.revision.digest);
});

describe('refuses a bundle', () => {
  test('that does not decide as its cases say, naming the first', async () => {
    const wrong = { name: 'writes', agent: { name: 'demo' }, call: { tool: 'crm/x' }, want: { action: 'allow' } };
    const revision = { ...revisionOfConfig(gate(), committedWasm()), tests: cases(wrong, { ...wrong, name: 'too' }) };
    await expect(start(revision)).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringMatching(/^tests\.json: "writes" wants allow, and gets deny NO_GRANT: .*, and 1 more$/),
    });
  });

  test('whose Wasm is none, or is cut short', async () => {
    const revision = revisionOfConfig(gate(), committedWasm());
    for (const wasm of [new Uint8Array([1, 2, 3]), committedWasm().slice(0, 10_000)])
      await expect(start({ ...revision, wasm })).rejects.toMatchObject({
        code: 'POLICY_INVALID',
        message: 'policy.wasm: is not WebAssembly',
      });
  });

  test('whose Wasm has a memory of its own, beside the one that has a limit', async () => {
    const wasm = committedWasm();
    // OPA's modules have no section 5: one memory of 64 KiB that may grow to 4 GiB.
    const own = [5, 3, 1, 0, 1];
    const at = sectionAfter(wasm, 4);
    const spoilt = new Uint8Array([...wasm.subarray(0, at), ...own, ...wasm.subarray(at)]);
    await expect(start({ ...revisionOfConfig(gate(), committedWasm()), wasm: spoilt })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: 'policy.wasm: has a memory of its own, which nobody limits',
    });
  });

  test('whose Wasm asks for what OPA never does', async () => {
    const text = Buffer.from(committedWasm()).toString('latin1').replace('opa_abort', 'opa_print');
    const wasm = new Uint8Array(Buffer.from(text, 'latin1'));
    await expect(start({ ...revisionOfConfig(gate(), committedWasm()), wasm })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: 'policy.wasm: imports "env.opa_print"',
    });
  });

  test('that hangs in each of a thousand cases, after the first', async () => {
    const asked: number[] = [];
    const revision = { ...revisionOfConfig(gate(), committedWasm()), tests: cases() };
    const [first] = revision.tests;
    if (!first) throw new Error('there is no case');
    const decide = async (inputs: unknown[]) => {
      asked.push(inputs.length);
      return inputs.map(() => new AgentGateError('POLICY_UNAVAILABLE', 'no decision within 50 ms'));
    };
    const tests = Array.from({ length: 1_000 }, (_, i) => ({ ...first, name: `case ${i}` }));
    expect(await runSelfTests({ ...revision, tests }, { decide })).toEqual([
      {
        name: 'case 0',
        want: 'allow by reads',
        got: 'no decision POLICY_UNAVAILABLE: no decision within 50 ms',
      },
    ]);
    expect(asked).toEqual([1]);
  });

  test('whose Wasm OPA did not compile', async () => {
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    await expect(start({ ...revisionOfConfig(gate(), committedWasm()), wasm: empty })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringMatching(/^policy\.wasm: the policy cannot be loaded: /),
    });
  });
});

test('a case may say what was seen before: facts that it could not have otherwise', async () => {
  const config = gate();
  const policy = { ...config.policy, packs: ['baseline', 'dlp'] as ('baseline' | 'dlp')[] };
  const revision = revisionOfConfig({ ...config, policy }, committedWasm());
  const found = {
    name: 'a key leaves',
    agent: { name: 'demo' },
    call: { tool: 'fs/read', arguments: { path: '/srv/a' } },
  };
  const facts = { dlp: [{ kind: 'secret', name: 'crm-key', pointer: '/path' }] };
  await start({ ...revision, tests: cases({ ...found, facts, want: { action: 'deny', code: 'POLICY_DENIED' } }) });
});
