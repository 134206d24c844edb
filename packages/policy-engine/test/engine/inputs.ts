import { readFileSync } from 'node:fs';
import { noFacts, type PolicyInput } from '../../src/engine/policy-input.ts';
import { splitTool } from '../../src/grants/policy-data.ts';

const bundleFolder = new URL('../../../../policies/bundle/', import.meta.url);
export const committedModule = (): WebAssembly.Module =>
  new WebAssembly.Module(new Uint8Array(readFileSync(new URL('policy.wasm', bundleFolder))));

export const inputFor = (
  tool: string,
  args: Record<string, unknown> = {},
  labels: string[] = ['dev'],
): PolicyInput => ({
  call: { tool, ...splitTool(tool), arguments: args, digest: '0'.repeat(64) },
  tool: { labels: [], annotations: {}, schema_digest: '0'.repeat(64), pinned: true, flags: [] },
  agent: { name: 'demo', tenant: 'default', labels },
  session: { id: 'ses_0123456789', age_s: 1, purpose: 'a test', taint: [], calls: 0, denied: 0 },
  provenance: {},
  approval: null,
  now: 1_700_000_000_000,
  facts: noFacts,
});
