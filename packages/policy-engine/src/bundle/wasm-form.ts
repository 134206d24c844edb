import { refuse } from './refused.ts';

// What a module may be made of. Only the memory that the engine hands to it has a limit, and only OPA's own imports can do no harm:
// whatever else a compiler would give a module is not OPA's.

const imports = new Set([
  ...['env.opa_abort', 'env.memory'],
  ...[0, 1, 2, 3, 4].map((args) => `env.opa_builtin${args}`),
]);
const memorySection = 5;
/** The magic number and the version. */
const headerBytes = 8;

/** Of a module that was compiled. Throws POLICY_INVALID. */
export const requireForm = (module: WebAssembly.Module, wasm: Uint8Array): void => {
  const needed = WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`);
  for (const name of needed)
    if (!imports.has(name)) throw refuse('policy.wasm', `imports ${JSON.stringify(name.slice(0, 128))}`);
  if (needed.filter((name) => name === 'env.memory').length > 1 || hasSection(wasm, memorySection))
    throw refuse('policy.wasm', 'has a memory of its own, which nobody limits');
};

/** The engine that compiled it found its form good: every section is as long as it says. */
const hasSection = (wasm: Uint8Array, wanted: number): boolean => {
  let at = headerBytes;
  while (at < wasm.length) {
    if (wasm[at] === wanted) return true;
    const [length, from] = readLeb(wasm, at + 1);
    at = from + length;
  }
  return false;
};

/** An unsigned LEB128 of 32 bits, and where it ends. */
const readLeb = (bytes: Uint8Array, at: number): [value: number, end: number] => {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  throw refuse('policy.wasm', 'is not WebAssembly');
};
