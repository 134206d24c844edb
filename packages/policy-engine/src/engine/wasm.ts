import { loadPolicy } from '@open-policy-agent/opa-wasm';
import type { PolicyData } from '../grants/policy-data.ts';
import { type EntryPoint, entryPoints } from './entry-points.ts';

// OPA's Wasm, with what its SDK leaves open closed. The README of this service lists the traps and their guards.

/** Rego's answer, in whatever form; `result` is absent for no result or several. */
interface EngineResult {
  result?: unknown;
}
export type Engine = (input: object, entryPoint: EntryPoint) => EngineResult;

const pageBytes = 65_536;
/** The engine's values take about fourteen times the bytes of the JSON text that they come from. */
const dataGrowth = 14;
const initialBytes = 4 * 1024 * 1024;
/** Above it an allocation fails, which throws, instead of taking the machine's memory. */
const maxBytes = 512 * 1024 * 1024;

/** A text in linear memory that ends in a zero byte. */
const textAt = (memory: WebAssembly.Memory, address: number): string => {
  const bytes = new Uint8Array(memory.buffer, address);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
};

/**
 * A builtin that Wasm lacks is run by the SDK in JavaScript, or throws when a rule reaches it, months later. The capabilities
 * of the build forbid them; this refuses a module that was built otherwise.
 */
export const requireSelfContained = (builtins: Record<string, unknown>): void => {
  const names = Object.keys(builtins);
  if (names.length > 0) throw new Error(`the policy needs builtins that its Wasm does not hold: ${names.join(', ')}`);
};

export const loadEngine = async (module: WebAssembly.Module, data: PolicyData): Promise<Engine> => {
  // Bytes of its own, at offset 0: the SDK misreads a Buffer, and reads a shared one past its end.
  const text = new TextEncoder().encode(JSON.stringify(data));
  const bytes = text.buffer.slice(text.byteOffset, text.byteOffset + text.byteLength) as ArrayBuffer;
  const memory = {
    initial: Math.ceil((initialBytes + bytes.byteLength * dataGrowth) / pageBytes),
    maximum: maxBytes / pageBytes,
  };
  const policy = await loadPolicy(module, memory);
  const { opa_json_dump: dump, builtins } = (policy.wasmInstance as WebAssembly.Instance).exports as Record<
    string,
    (address?: number) => number
  >;
  if (!dump || !builtins) throw new Error('the policy is not a module that OPA compiled');
  requireSelfContained(JSON.parse(textAt(policy.mem, dump(builtins()))) as Record<string, unknown>);
  for (const name of entryPoints)
    if (!Object.hasOwn(policy.entrypoints, name)) throw new Error(`the policy has no entry point ${name}`);
  // Once, at the start: a setData that fails leaves the instance corrupt, so its throw ends this worker.
  policy.setData(bytes);
  return (input, entryPoint) => {
    const results: unknown = policy.evaluate(input, entryPoint);
    const [only, ...more] = Array.isArray(results) ? (results as unknown[]) : [];
    if (typeof only !== 'object' || only === null || more.length > 0) return {};
    return { result: (only as { result?: unknown }).result };
  };
};
