import { readFileSync } from 'node:fs';
import { parseConfig } from '@agentgate/contracts';
import { generateSigningKey, type SigningKey } from '@agentgate/evidence';
import { type BundleFiles, packBundle } from '../../src/bundle/archive.ts';
import { bundleFiles, revisionOfConfig } from '../../src/bundle/revision.ts';
import { type SelfTest, selfTests } from '../../src/bundle/self-tests.ts';
import { type Authors, parseAuthors, signBundle } from '../../src/bundle/signatures.ts';

// Bundles as an author makes them, for tests to spoil.

export const committedWasm = (): Uint8Array<ArrayBuffer> =>
  new Uint8Array(readFileSync(new URL('../../../../policies/bundle/policy.wasm', import.meta.url)));

export const gate = (
  grants = '  - { id: reads, to: { agents: [demo] }, tools: ["fs/*"], where: { /path: { under: /srv } }, effect: allow }',
) =>
  parseConfig(
    `v: 1
tenants: { default: { agents: { demo: { labels: [dev] } } } }
servers: { fs: { stdio: { command: ./fs } } }
grants:
${grants}
`,
    '/etc/agentgate/agentgate.yaml',
  );

export const cases = (...more: object[]): SelfTest[] =>
  selfTests.parse({
    v: 1,
    cases: [
      {
        name: 'reads below /srv',
        agent: { name: 'demo' },
        call: { tool: 'fs/read', arguments: { path: '/srv/a' } },
        want: { action: 'allow', rule: 'reads' },
      },
      {
        name: 'reads nothing else',
        agent: { name: 'demo' },
        call: { tool: 'fs/read', arguments: { path: '/etc/passwd' } },
        want: { action: 'deny', code: 'ARGUMENT_NOT_ALLOWED' },
      },
      ...more,
    ],
  }).cases;

export const author: SigningKey = generateSigningKey();
export const authorsOf = (...keys: SigningKey[]): Authors =>
  parseAuthors(
    'policy-authors.json',
    JSON.stringify({ v: 1, keys: keys.map(({ keyid, publicKey }) => ({ keyid, public_key: publicKey })) }),
  );
export const authors = authorsOf(author);

export const goodFiles = (version = 1): BundleFiles =>
  bundleFiles(revisionOfConfig(gate(), committedWasm()), version, cases());
export const json = (value: unknown): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(JSON.stringify(value)));
export const parsed = (bytes: Uint8Array | undefined) =>
  JSON.parse(Buffer.from(bytes ?? []).toString()) as Record<string, never>;

/** A bundle with some of its files changed before it was signed; undefined takes one out. */
export const signedBundle = async (
  more: Partial<Record<keyof BundleFiles, Uint8Array<ArrayBuffer> | undefined>> = {},
) => {
  const files = Object.fromEntries(Object.entries({ ...goodFiles(), ...more }).filter(([, bytes]) => bytes));
  return packBundle(await signBundle(files, author));
};
