import { afterEach, describe, expect, test, vi } from 'vitest';
import { openBundle, type Revision, revisionOfConfig } from '../src/bundle/revision.ts';
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
