import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { signingKeyFromSeed } from '@agentgate/evidence';
import { binaryFolders, findBinary } from '@agentgate/ground';
import { afterAll, describe, expect, test } from 'vitest';
import { packBundle, unpackBundle } from '../../src/bundle/archive.ts';
import { revisionOfConfig } from '../../src/bundle/revision.ts';
import { signBundle } from '../../src/bundle/signatures.ts';
import { startInstance } from '../../src/instance.ts';
import { cases, gate, goodFiles, json, parsed } from './bundles.ts';

// Policies that the real opa compiles and that the gate must not take, and a bundle of ours that the real opa takes.

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const opa = findBinary(['opa'], binaryFolders({ root, bin: process.env.AGENTGATE_BIN, path: process.env.PATH }));
const dir = mkdtempSync(join(tmpdir(), 'agentgate-hostile-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const run = promisify(execFile);

const compile = async (rego: string, entryPoints = ['agentgate/decision', 'agentgate/explain']) => {
  const folder = mkdtempSync(join(dir, 'rego-'));
  mkdirSync(join(folder, 'p'));
  writeFileSync(join(folder, 'p', 'decision.rego'), `package agentgate\n${rego}\nexplain := {}\n`);
  const out = join(folder, 'b.tar.gz');
  await run(opa, ['build', '-t', 'wasm', ...entryPoints.flatMap((name) => ['-e', name]), '-o', out, join(folder, 'p')]);
  const files = await unpackBundle(await readFile(out)).catch(() => ({}));
  const wasm = (files as { 'policy.wasm'?: Uint8Array<ArrayBuffer> })['policy.wasm'];
  if (wasm) return wasm;
  await run('tar', ['xzf', out, '-C', folder]);
  return new Uint8Array(await readFile(join(folder, 'policy.wasm')));
};
const start = async (wasm: Uint8Array<ArrayBuffer>) => {
  const revision = { ...revisionOfConfig(gate(), wasm), tests: cases() };
  const log = { warn: () => {}, error: () => {} };
  return startInstance({
    revision,
    secrets: [],
    memory: { recall: async () => [] },
    log,
    spare: false,
    startMs: 20_000,
  });
};
const refused = (message: RegExp) => ({ code: 'POLICY_INVALID', message: expect.stringMatching(message) });

describe('refuses a policy', () => {
  test('that needs a builtin which its Wasm does not hold', async () => {
    const wasm = await compile('decision := {"action": "allow"} if time.now_ns() > 0');
    await expect(start(wasm)).rejects.toMatchObject(
      refused(
        /^policy\.wasm: the policy cannot be loaded: the policy needs builtins that its Wasm does not hold: time\.now_ns$/,
      ),
    );
  });

  test('that lacks an entry point', async () => {
    const wasm = await compile('decision := {"action": "deny"}', ['agentgate/decision']);
    await expect(start(wasm)).rejects.toMatchObject(refused(/the policy has no entry point agentgate\/explain$/));
  });

  test('that hangs', async () => {
    const wasm = await compile(
      'decision := {"action": "deny", "n": count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == input.now])}',
    );
    await expect(start(wasm)).rejects.toMatchObject(
      refused(/^tests\.json: "reads below \/srv" wants allow by reads, and gets no decision POLICY_UNAVAILABLE: /),
    );
  });

  test('that throws', async () => {
    const wasm = await compile('decision := x if some x in [{"action": "allow"}, {"action": "deny"}]');
    await expect(start(wasm)).rejects.toMatchObject(
      refused(/^tests\.json: "reads below \/srv" wants allow by reads, and gets no decision POLICY_UNAVAILABLE: /),
    );
  });

  test('that allows what its author says it denies', async () => {
    const wasm = await compile(
      'decision := {"action": "allow", "code": "OK", "reason": "all", "rule": "reads", "obligations": {}}',
    );
    await expect(start(wasm)).rejects.toMatchObject(
      refused(/^tests\.json: "reads nothing else" wants deny ARGUMENT_NOT_ALLOWED, and gets allow OK by reads: all$/),
    );
  });
});

test('opa verifies our signature, and sees a changed file', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = signingKeyFromSeed(privateKey.export({ format: 'jwk' }).d as string);
  const pem = join(dir, 'author.pem');
  writeFileSync(pem, publicKey.export({ format: 'pem', type: 'spki' }));
  // Keys and texts on which two encoders of JSON may differ.
  const odd = { '\u{1F600}': 1, '\uffee': 1.5, a: '<é\u2028>&\b\f\u007f', n: [1e21, 1e-7, 0.1, null, true] };
  const files = { ...goodFiles() };
  const data = json({ ...parsed(files['data.json']), odd });
  const signed = await signBundle({ ...files, 'data.json': data }, key);
  const verify = async (name: string, bundle: typeof signed) => {
    const file = join(dir, `${name}.tar.gz`);
    writeFileSync(file, await packBundle(bundle));
    const args = ['--verification-key', pem, '--verification-key-id', key.keyid, '--signing-alg', 'EdDSA'];
    return run(opa, ['build', '--bundle', file, ...args, '-o', join(dir, 'out.tar.gz')]);
  };
  await verify('good', signed);
  await expect(verify('bad', { ...signed, 'data.json': json({}) })).rejects.toMatchObject({
    stdout: expect.stringMatching(/data\.json/),
  });
});
