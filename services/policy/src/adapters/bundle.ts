import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyRevision, PolicySettings, ToolProfile } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import type { CompiledPolicy } from '@agentgate/policy-engine';

/** Reads and compiles `policy.wasm` of the folder. */
export const readBundle = async (
  folder: string,
): Promise<{ module: WebAssembly.Module; wasm: Uint8Array<ArrayBuffer> }> => {
  const wasm = new Uint8Array(await readFile(join(folder, 'policy.wasm')));
  return { module: await WebAssembly.compile(wasm), wasm };
};

/**
 * What decides: the engine, its data, the conditions, and what the configuration says of tools and packs. Whoever has the same
 * four has the same revision. Of secrets it holds where they stand, not what they are.
 */
export const revisionOf = (
  wasm: Uint8Array,
  { data, wheres }: CompiledPolicy,
  settings: { tools: readonly ToolProfile[]; policy: PolicySettings },
): PolicyRevision => {
  const parts = [
    sha256Hex(wasm),
    ...[data, [...wheres], settings.tools, settings.policy].map((part) => sha256Hex(JSON.stringify(part))),
  ];
  const digest = sha256Hex(`agentgate-policy-v1\n${parts.join('\n')}\n`);
  return { revision: digest.slice(0, 16), digest };
};
