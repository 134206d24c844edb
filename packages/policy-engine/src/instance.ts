import type { PolicyRevision } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import { refuse } from './bundle/refused.ts';
import { compiledPolicy, type Revision } from './bundle/revision.ts';
import { runSelfTests } from './bundle/self-tests.ts';
import { requireForm } from './bundle/wasm-form.ts';
import { type PolicyEngine, startEngine } from './engine/engine.ts';
import type { WorkersLog } from './engine/workers.ts';
import { createFactFinder, type FactFinder } from './facts.ts';
import type { PolicyData } from './grants/policy-data.ts';
import type { Recall } from './session-facts.ts';

/** A revision that decides: its engine, and what finds its facts. Several may stand beside each other and share nothing. */
export interface Instance {
  version: number;
  revision: PolicyRevision;
  data: PolicyData;
  engine: PolicyEngine;
  facts: FactFinder;
  /** Two with the same one find the same facts about a call. */
  factsDigest: string;
}

export interface InstanceOptions {
  revision: Revision;
  /** What the pack `dlp` looks for. */
  secrets: readonly { name: string; bytes: Uint8Array }[];
  memory: Recall;
  log: WorkersLog;
  /** Keeps a warm worker. */
  spare: boolean;
  /** Loading may take so long. */
  startMs?: number;
}

/** Loads a revision and has it decide the cases that it carries. Throws POLICY_INVALID where it cannot be loaded or breaks its word. */
export const startInstance = async (options: InstanceOptions): Promise<Instance> => {
  const { revision, secrets, memory, log, spare, startMs } = options;
  const engine = await startEngine({
    policy: compiledPolicy(revision),
    module: await compiled(revision.wasm),
    log,
    spare,
    ...(startMs !== undefined && { startMs }),
  }).catch((cause: unknown) => {
    throw refuse('policy.wasm', cause instanceof Error ? cause.message : String(cause), cause);
  });
  try {
    const [failed, ...more] = await runSelfTests(revision, engine);
    if (failed) {
      const others = more.length > 0 ? `, and ${more.length} more` : '';
      throw refuse(
        'tests.json',
        `${JSON.stringify(failed.name)} wants ${failed.want}, and gets ${failed.got}${others}`,
      );
    }
    const { tools, policy } = revision.data.gate;
    const facts = createFactFinder({ tools, policy: { ...policy, secrets: {} }, secrets, memory });
    const factsDigest = sha256Hex(canonical({ tools, policy }));
    return { version: revision.version, revision: revision.id, data: revision.data, engine, facts, factsDigest };
  } catch (error) {
    await engine.close();
    throw error;
  }
};

const compiled = async (wasm: Uint8Array): Promise<WebAssembly.Module> => {
  const module = await WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>).catch((cause: unknown) => {
    throw refuse('policy.wasm', 'is not WebAssembly', cause);
  });
  requireForm(module, wasm);
  return module;
};
