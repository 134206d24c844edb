import { type Config, firstProblem, limits, type PolicyRevision } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import { type CompiledPolicy, compileGrants } from '../grants/compile.ts';
import { type BundleFiles, unpackBundle } from './archive.ts';
import { jsonDigest, readJson } from './file-digest.ts';
import { createManifest, type Manifest, parseManifest } from './manifest.ts';
import { refuse } from './refused.ts';
import { parseRevisionData, type RevisionData } from './revision-data.ts';
import { type SelfTest, selfTests } from './self-tests.ts';
import { type Authors, verifySignature } from './signatures.ts';

/** A policy as a value: whoever has the same one decides the same. */
export interface Revision {
  /** In permits and evidence, and so in canonical order. The digest is over the Wasm and the data, so it is the same wherever they came from. */
  id: PolicyRevision;
  /** 0 for the one of agentgate.yaml. */
  version: number;
  wasm: Uint8Array<ArrayBuffer>;
  data: RevisionData;
  /** Absent for the one of agentgate.yaml. */
  manifest?: Manifest;
  tests: SelfTest[];
}

/** `data` as it was written: what is read of it may have defaults filled in. */
const digestOf = (wasm: Uint8Array, data: unknown): string =>
  sha256Hex(`agentgate-policy-v2\n${sha256Hex(wasm)}\n${jsonDigest('data.json', data)}\n`);

/** Where the secrets lie that must not leave is the deployment's, not the policy's. */
const dataOf = (config: Config): RevisionData => {
  const { data, wheres } = compileGrants(config);
  const { secrets: _, ...policy } = config.policy;
  // As it will be read again: what is undefined is not there.
  return JSON.parse(
    JSON.stringify({ ...data, gate: { wheres: [...wheres], tools: config.tools, policy } }),
  ) as RevisionData;
};

/** What agentgate.yaml says. Throws ConfigError naming the grant and the field. */
export const revisionOfConfig = (config: Config, wasm: Uint8Array<ArrayBuffer>): Revision => {
  const data = dataOf(config);
  const digest = digestOf(wasm, data);
  return { id: { digest, revision: digest.slice(0, 16) }, version: 0, wasm, data, tests: [] };
};

/** The files of a bundle of that version, not signed yet. Throws POLICY_INVALID where the gate would refuse them. */
export const bundleFiles = (of: Pick<Revision, 'wasm' | 'data'>, version: number, tests: SelfTest[]): BundleFiles => {
  const revision = `v${version}-${digestOf(of.wasm, of.data).slice(0, 12)}`;
  const json = (value: unknown) => new Uint8Array(Buffer.from(`${JSON.stringify(value)}\n`));
  const files = {
    'policy.wasm': of.wasm,
    'data.json': json(of.data),
    'tests.json': json({ v: 1, cases: tests }),
    '.manifest': json(createManifest(revision, version)),
  };
  parseFiles(files);
  return files;
};

/** Verifies a bundle and reads it. Nothing of it is run: that the Wasm decides, and decides as its tests say, is for an engine to show. */
export const openBundle = async (archive: Uint8Array, authors: Authors): Promise<Revision> => {
  const files = await unpackBundle(archive);
  await verifySignature(files, authors);
  return parseFiles(files);
};

const parseFiles = (files: BundleFiles): Revision => {
  const wasm = files['policy.wasm'];
  if (!wasm) throw refuse('policy.wasm', 'is missing');
  const manifest = parseManifest(files['.manifest']);
  if (!files['data.json']) throw refuse('data.json', 'is missing');
  const written = readJson('data.json', files['data.json']);
  const data = parseRevisionData(written);
  const id = { digest: digestOf(wasm, written), revision: manifest.revision };
  return {
    id,
    version: manifest.metadata.agentgate.version,
    wasm,
    data,
    manifest,
    tests: testsOf(files['tests.json']),
  };
};

const testsOf = (bytes: Uint8Array | undefined): SelfTest[] => {
  if (!bytes) throw refuse('tests.json', 'is missing: a bundle shows by its own cases what it decides');
  const parsed = selfTests.safeParse(readJson('tests.json', bytes));
  if (!parsed.success) throw refuse('tests.json', firstProblem(parsed.error));
  return parsed.data.cases;
};

/** What an engine is started with. */
export const compiledPolicy = ({ data: { gate, ...data } }: Revision): CompiledPolicy => ({
  data,
  wheres: new Map(gate.wheres),
  bounds: { depth: limits.depth, keysPerObject: limits.keysPerObject },
});
