import type { MessagePort } from 'node:worker_threads';
import type { CompiledPolicy } from '../grants/compile.ts';
import type { Evaluation, Evaluator } from './evaluator.ts';
import type { PolicyInput } from './policy-input.ts';

/** What a worker starts with. */
export interface WorkerStart {
  policy: CompiledPolicy;
  module: WebAssembly.Module;
  /** Counts evaluations that are done, so that the other side sees whether one hangs. */
  progress: Int32Array<SharedArrayBuffer>;
}

export interface WorkerAsk {
  batch: number;
  /** Each the JSON text of a PolicyInput. */
  inputs: string[];
}
/** `broken`: an evaluation threw; this worker answers nothing more. */
export type WorkerAnswer =
  | { kind: 'ready' }
  | { kind: 'done'; batch: number; evaluations: Evaluation[] }
  | { kind: 'broken'; batch: number; why: string };

/** Answers batches in order until one throws. */
export const serveEvaluations = (port: MessagePort, evaluate: Evaluator, progress: WorkerStart['progress']): void => {
  let broken = false;
  port.on('message', ({ batch, inputs }: WorkerAsk) => {
    if (broken) return;
    const evaluations: Evaluation[] = [];
    try {
      for (const input of inputs) {
        evaluations.push(evaluate(JSON.parse(input) as PolicyInput));
        Atomics.add(progress, 0, 1);
      }
    } catch (error) {
      broken = true;
      // The SDK throws bare strings as well as errors.
      const why = error instanceof Error ? error.message : String(error);
      port.postMessage({ kind: 'broken', batch, why } satisfies WorkerAnswer);
      return;
    }
    port.postMessage({ kind: 'done', batch, evaluations } satisfies WorkerAnswer);
  });
  port.postMessage({ kind: 'ready' } satisfies WorkerAnswer);
};
