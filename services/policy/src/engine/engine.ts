import { AgentGateError } from '@agentgate/contracts';
import type { CompiledPolicy } from '../grants/compile.ts';
import type { Evaluation } from './evaluator.ts';
import type { PolicyInput } from './policy-input.ts';
import { type Slot, type SlotResult, startSlot } from './slot.ts';

/** Decides in a worker. An evaluation that hangs or throws costs its own call an answer, and the worker its life. */
export interface PolicyEngine {
  /** One answer an input, in order; an error is POLICY_UNAVAILABLE or OVERLOADED, for that call alone. */
  decide(inputs: PolicyInput[]): Promise<(Evaluation | AgentGateError)[]>;
  /** Workers that had to be ended. */
  readonly lost: number;
  close(): Promise<void>;
}

export interface EngineOptions {
  policy: CompiledPolicy;
  module: WebAssembly.Module;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
  /** One evaluation may take so long; default 50. */
  cutOffMs?: number;
  worker?: URL;
}

interface Waiting {
  input: PolicyInput;
  answer(evaluation: Evaluation | AgentGateError): void;
}

const maxBatch = 256;
/** Calls that may wait; beyond it they are told at once. */
const maxWaiting = 8_192;
/** How long calls wait for a worker when both were lost. */
const respawnMs = 1_000;

const unavailable = (why: string) =>
  new AgentGateError('POLICY_UNAVAILABLE', `the policy engine did not decide: ${why}`);

/** Resolves once the policy is loaded; rejects where it cannot be. Two workers: one decides, one is warm for when that one is lost. */
export const startEngine = async (opts: EngineOptions): Promise<PolicyEngine> => {
  const { log, cutOffMs = 50, worker = new URL('./worker.ts', import.meta.url) } = opts;
  const start = (): Slot => {
    const slot = startSlot({ policy: opts.policy, module: opts.module, worker, cutOffMs });
    // Who uses the slot hears of it; until then a refusal must not end the process.
    slot.ready.catch(() => {});
    return slot;
  };
  let current = start();
  let spare = start();
  let lost = 0;
  let closed = false;
  try {
    await Promise.all([current.ready, spare.ready]);
  } catch (error) {
    await Promise.all([current.end(), spare.end()]);
    throw error;
  }

  const replace = (slot: Slot, why: string) => {
    lost++;
    log.warn({ why, lost }, 'an evaluation was cut off, and its worker ended');
    slot.end().catch((error: unknown) => log.error({ err: error }, 'a worker did not end'));
    current = spare;
    spare = start();
  };
  const attempt = async (inputs: PolicyInput[]): Promise<SlotResult> => {
    const slot = current;
    const state = await within(respawnMs, slot.ready);
    // One that is still loading is not ended: a slow machine would never get a new one.
    if (state === 'late') return { kind: 'lost', why: 'it is being loaded anew' };
    const result: SlotResult =
      state === 'done' ? await slot.run(inputs) : { kind: 'lost', why: 'it could not be loaded anew' };
    if (result.kind === 'lost' && !closed) replace(slot, result.why);
    return result;
  };
  /** A batch that was lost is decided again one by one: only the call that is to blame gets no answer. */
  const decideBatch = async (batch: Waiting[]): Promise<void> => {
    const whole = await attempt(batch.map((each) => each.input));
    if (whole.kind === 'done') {
      for (const [i, each] of batch.entries()) each.answer(whole.evaluations[i] ?? unavailable('no answer'));
      return;
    }
    if (batch.length === 1) return batch[0]?.answer(unavailable(whole.why));
    for (const each of batch) await decideBatch([each]);
  };

  const queue: Waiting[] = [];
  let running: Promise<void> | undefined;
  const decideNext = async () => {
    const batch = queue.splice(0, maxBatch);
    try {
      await decideBatch(batch);
    } catch (error) {
      log.error({ err: error }, 'the policy engine failed');
      for (const each of batch) each.answer(unavailable('it failed'));
    }
  };
  const pump = async () => {
    while (queue.length > 0) await decideNext();
    running = undefined;
  };
  const enqueue = (input: PolicyInput) =>
    new Promise<Evaluation | AgentGateError>((resolve) => {
      if (closed) resolve(unavailable('it has stopped'));
      else if (queue.length >= maxWaiting)
        resolve(new AgentGateError('OVERLOADED', 'too many calls wait for a decision'));
      else queue.push({ input, answer: resolve });
    });
  return {
    get lost() {
      return lost;
    },
    decide: (inputs) => {
      const answers = Promise.all(inputs.map(enqueue));
      if (queue.length > 0) running ??= pump();
      return answers;
    },
    close: async () => {
      closed = true;
      for (const each of queue.splice(0)) each.answer(unavailable('it has stopped'));
      await Promise.all([current.end(), spare.end()]);
      await running;
    },
  };
};

const within = async (ms: number, ready: Promise<void>): Promise<'done' | 'failed' | 'late'> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  const settled = ready.then(
    () => 'done' as const,
    () => 'failed' as const,
  );
  const state = await Promise.race([settled, late]);
  clearTimeout(timer);
  return state;
};
