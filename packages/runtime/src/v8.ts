import { setFlagsFromString } from 'node:v8';

/**
 * Small and quick under load, on few cores. What lives longer than a call is small, so a heap may grow by little before it is collected: at 30 % no
 * service takes 150 MiB, at 60 % two do and a call costs a few percent less. A scavenge does not wait for a thread that is not let run, and pages that
 * were freed are not kept.
 */
const flags = ['--heap-growing-percent=30', '--no-parallel-scavenge', '--no-memory-pool'];
/** A small buffer that lives on keeps the whole piece that it was cut from: Node cuts from 64 KiB. */
const bufferPool = 16 * 1024;

/** How V8 works in a service, beside what NODE_OPTIONS says. */
export const tuneV8 = (): void => {
  for (const flag of flags) setFlagsFromString(flag);
  Buffer.poolSize = bufferPool;
};
