import { describe, expect, test } from 'vitest';
import { packBundle } from '../../src/bundle/archive.ts';
import { bundleFiles, compiledPolicy, openBundle, revisionOfConfig } from '../../src/bundle/revision.ts';
import { signBundle } from '../../src/bundle/signatures.ts';
import { author, authors, cases, committedWasm, gate, goodFiles, json, parsed, signedBundle } from './bundles.ts';

const refused = (message: string) => ({ code: 'POLICY_INVALID', message });
const data = () => parsed(goodFiles()['data.json']) as unknown as Record<string, Record<string, unknown>>;

test('a bundle of a configuration has the digest that the configuration itself has, and a version', async () => {
  const of = revisionOfConfig(gate(), committedWasm());
  const opened = await openBundle(await signedBundle(), authors);
  expect(opened.id).toEqual({ revision: `v1-${of.id.digest.slice(0, 12)}`, digest: of.id.digest });
  // Permits are signed over it as it stands.
  for (const id of [of.id, opened.id]) expect(Object.keys(id)).toEqual(['digest', 'revision']);
  expect(opened.version).toBe(1);
  expect(compiledPolicy(opened)).toEqual(compiledPolicy(of));
});

test('another grant, another condition: another digest', () => {
  const digest = (grants?: string) => revisionOfConfig(gate(grants), committedWasm()).id.digest;
  const other =
    '  - { id: reads, to: { agents: [demo] }, tools: ["fs/*"], where: { /path: { under: /home } }, effect: allow }';
  expect(digest(other)).not.toBe(digest());
});

test('a bundle does not say where secrets lie', () => {
  const config = gate();
  const policy = { ...config.policy, packs: ['baseline', 'dlp'] as const, secrets: { key: { file: '/root/key' } } };
  const revision = revisionOfConfig({ ...config, policy: { ...policy, packs: [...policy.packs] } }, committedWasm());
  expect(JSON.stringify(revision.data)).not.toContain('/root/key');
});

describe('refuses a manifest', () => {
  const manifest = () => parsed(goodFiles()['.manifest']) as unknown as Record<string, unknown>;
  test.each([
    ['of a part of the policy', { roots: ['agentgate'] }, '.manifest: /roots/0: Invalid input: expected ""'],
    [
      'without an entry point',
      { wasm: [] },
      '.manifest: /wasm: must name the entry points agentgate/decision and agentgate/explain',
    ],
    [
      'without a version',
      { metadata: {} },
      '.manifest: /metadata/agentgate: Invalid input: expected object, received undefined',
    ],
    [
      'of version 0',
      { metadata: { agentgate: { v: 1, version: 0 } } },
      '.manifest: /metadata/agentgate/version: Too small: expected number to be >=1',
    ],
    [
      'whose revision would not fit into a line',
      { revision: 'a\nb' },
      '.manifest: /revision: must be 1 to 128 letters, digits, dots, _ and -',
    ],
  ])('%s', async (_, more, message) => {
    const bundle = await signedBundle({ '.manifest': json({ ...manifest(), ...more }) });
    await expect(openBundle(bundle, authors)).rejects.toMatchObject(refused(message));
  });
});

describe('refuses data', () => {
  test.each([
    [
      'whose conditions are missing',
      () => ({ ...data(), gate: { ...data().gate, wheres: [] } }),
      'data.json: /gate/wheres: the conditions of grant 0 are missing',
    ],
    [
      'with a condition that could not be enforced',
      () => ({ ...data(), gate: { ...data().gate, wheres: [[0, { '/path': { matches: '(' } }]] } }),
      'data.json: /gate/wheres/0: /path: ',
    ],
    [
      'that points to a grant that is not there',
      () => ({
        ...data(),
        grants: { ...data().grants, whom: { 'agent:default/demo': { exact: { 'fs/x': [7] }, server: {}, any: [] } } },
      }),
      'data.json: /grants/whom/agent:default/demo: there is no grant 7',
    ],
    [
      'where Rego has a pack on for which nothing is found out',
      () => ({ ...data(), policy: { ...data().policy, packs: { baseline: true, dlp: true } } }),
      'data.json: /policy/packs: names baseline, dlp, /gate/policy/packs baseline',
    ],
    [
      'with secrets of its own',
      () => ({
        ...data(),
        gate: { ...data().gate, policy: { packs: ['baseline'], secrets: { x: { file: '/etc/shadow' } } } },
      }),
      'data.json: ',
    ],
    ['that is no object', () => [], 'data.json: '],
  ])('%s', async (_, make, message) => {
    const bundle = await signedBundle({ 'data.json': json(make()) });
    await expect(openBundle(bundle, authors)).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining(message),
    });
  });

  test('that is nested without end', async () => {
    const deep = new Uint8Array(Buffer.from(`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`));
    await expect(signedBundle({ 'data.json': deep })).rejects.toMatchObject(
      refused('data.json: deeper than 64 levels'),
    );
  });
});

test('refuses data of millions of values before they cost time, signed or with the signature of other data', async () => {
  const many = new Uint8Array(Buffer.from(`{"x":[${'0,'.repeat(5_000_000)}0]}`));
  const refusal = refused('data.json: holds more than 1000000 values');
  await expect(signedBundle({ 'data.json': many })).rejects.toMatchObject(refusal);
  const forged = await packBundle({ ...(await signBundle(goodFiles(), author)), 'data.json': many });
  expect(forged.byteLength).toBeLessThan(128 * 1024);
  await expect(openBundle(forged, authors)).rejects.toMatchObject(refusal);
});

test.each(['policy.wasm', 'data.json', '.manifest', 'tests.json'] as const)(
  'refuses a bundle without %s',
  async (name) => {
    await expect(openBundle(await signedBundle({ [name]: undefined }), authors)).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringMatching(new RegExp(`^${name.replace('.', '\\.')}: is missing`)),
    });
  },
);

test('refuses a bundle without cases', async () => {
  await expect(
    openBundle(await signedBundle({ 'tests.json': json({ v: 1, cases: [] }) }), authors),
  ).rejects.toMatchObject({
    message: 'tests.json: /cases: Too small: expected array to have >=1 items',
  });
});

test('an author hears of a fault before anything is signed', () => {
  const revision = revisionOfConfig(gate(), committedWasm());
  expect(() => bundleFiles(revision, 0, cases())).toThrow('.manifest: /metadata/agentgate/version: ');
});
