import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyRevision } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import type { CompiledPolicy } from '../grants/compile.ts';

/** Reads and compiles `policy.wasm` of the folder. */
export const readBundle = async (
  folder: string,
): Promise<{ module: WebAssembly.Module; wasm: Uint8Array<ArrayBuffer> }> => {
  const wasm = new Uint8Array(await readFile(join(folder, 'policy.wasm')));
  return { module: await WebAssembly.compile(wasm), wasm };
};

/** What decides: the engine, its data, and the conditions. Whoever has the same three has the same revision. */
export const revisionOf = (wasm: Uint8Array, { data, wheres }: CompiledPolicy): PolicyRevision => {
  const parts = [sha256Hex(wasm), sha256Hex(JSON.stringify(data)), sha256Hex(JSON.stringify([...wheres]))];
  const digest = sha256Hex(`agentgate-policy-v1\n${parts.join('\n')}\n`);
  return { revision: digest.slice(0, 16), digest };
};
