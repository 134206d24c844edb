import { Worker } from 'node:worker_threads';
import type { CompiledPolicy } from '../grants/compile.ts';
import type { Evaluation } from './evaluator.ts';
import type { PolicyInput } from './policy-input.ts';
import type { WorkerAnswer, WorkerAsk, WorkerStart } from './worker-loop.ts';

export type SlotResult =
  | { kind: 'done'; evaluations: Evaluation[] }
  /** The worker must be ended: it hangs, threw, or is gone. */
  | { kind: 'lost'; why: string };

/** One engine in a worker of its own. It takes one batch at a time, and none after a lost one. */
export interface Slot {
  /** Rejects when the worker cannot load the policy. */
  ready: Promise<void>;
  run(inputs: PolicyInput[]): Promise<SlotResult>;
  end(): Promise<void>;
}

export interface SlotOptions {
  policy: CompiledPolicy;
  module: WebAssembly.Module;
  worker: URL;
  /** One evaluation may take so long. */
  cutOffMs: number;
}

const startMs = 20_000;

export const startSlot = ({ policy, module, worker: file, cutOffMs }: SlotOptions): Slot => {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(file, {
    workerData: { policy, module, progress } satisfies WorkerStart,
    resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16 },
    // The worker reads no environment, and has no business with our streams.
    env: {},
  });
  let gone: string | undefined;
  let batch = 0;
  let onAnswer: ((answer: WorkerAnswer) => void) | undefined;
  let onGone: (() => void) | undefined;
  const leave = (why: string) => {
    gone ??= why;
    onGone?.();
  };
  worker.on('message', (answer: WorkerAnswer) => onAnswer?.(answer));
  worker.on('error', (error: unknown) => leave(error instanceof Error ? error.message : String(error)));
  worker.on('exit', () => leave('the worker ended'));

  const ready = new Promise<void>((resolve, reject) => {
    const end = (then: () => void) => {
      clearTimeout(timer);
      onAnswer = undefined;
      onGone = undefined;
      then();
    };
    const timer = setTimeout(
      () => end(() => reject(new Error(`the policy was not loaded within ${startMs} ms`))),
      startMs,
    );
    onAnswer = (answer) => {
      if (answer.kind === 'ready') end(resolve);
    };
    onGone = () => end(() => reject(new Error(`the policy cannot be loaded: ${gone}`)));
  });

  const run = (inputs: PolicyInput[]) =>
    new Promise<SlotResult>((resolve) => {
      const number = ++batch;
      const end = (result: SlotResult) => {
        clearInterval(watch);
        onAnswer = undefined;
        onGone = undefined;
        resolve(result);
      };
      if (gone) return resolve({ kind: 'lost', why: gone });
      let before = Atomics.load(progress, 0);
      const check = () => {
        const done = Atomics.load(progress, 0);
        if (done !== before) before = done;
        // An answer may lie unread where it was this thread that stood still: two turns of the loop read it.
        else setImmediate(() => setImmediate(() => end({ kind: 'lost', why: `no decision within ${cutOffMs} ms` })));
      };
      const watch = setInterval(check, cutOffMs);
      onAnswer = (answer) => {
        if (answer.kind === 'ready' || answer.batch !== number) return;
        end(
          answer.kind === 'done'
            ? { kind: 'done', evaluations: answer.evaluations }
            : { kind: 'lost', why: answer.why },
        );
      };
      onGone = () => end({ kind: 'lost', why: gone ?? 'the worker ended' });
      worker.postMessage({ batch: number, inputs } satisfies WorkerAsk);
    });

  return {
    ready,
    run,
    end: async () => {
      leave('the worker was ended');
      await worker.terminate();
    },
  };
};
