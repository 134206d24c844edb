import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { CompiledPolicy } from '../grants/compile.ts';
import type { Evaluation } from './evaluator.ts';
import { startWatch, type Watch } from './watch.ts';
import type { WorkerAnswer, WorkerAsk, WorkerStart } from './worker-loop.ts';

export type SlotResult =
  | { kind: 'done'; evaluations: Evaluation[] }
  /** The worker must be ended: it hangs, threw, or is gone. */
  | { kind: 'lost'; why: string };

/** One engine in a worker of its own. It takes one batch at a time, and none after a lost one. */
export interface Slot {
  /** Rejects when the worker cannot load the policy. */
  ready: Promise<void>;
  /** It has loaded it. */
  isReady(): boolean;
  run(inputs: string[]): Promise<SlotResult>;
  end(): Promise<void>;
}

export interface SlotOptions {
  policy: CompiledPolicy;
  module: WebAssembly.Module;
  worker: URL;
  /** One evaluation may take so long, */
  cutOffMs: number;
  /** and loading the policy. */
  startMs: number;
}

const answerMs = 25;

/** The thread answers between two steps of whatever it runs, a loop of the engine's too. */
const spentMs = async (worker: Worker): Promise<number | undefined> => {
  const usage = worker.cpuUsage().then(
    ({ user, system }) => (user + system) / 1000,
    () => undefined,
  );
  let timer: NodeJS.Timeout | undefined;
  const silent = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), answerMs);
  });
  const spent = await Promise.race([usage, silent]);
  clearTimeout(timer);
  return spent;
};

/** The worker's side of the line: who listens now, and why there is nobody any more. */
interface Line {
  worker: Worker;
  gone: string | undefined;
  onAnswer: ((answer: WorkerAnswer) => void) | undefined;
  onGone: (() => void) | undefined;
}

const openLine = (worker: Worker): Line => {
  const line: Line = { worker, gone: undefined, onAnswer: undefined, onGone: undefined };
  worker.on('message', (answer: WorkerAnswer) => line.onAnswer?.(answer));
  worker.on('error', (error: unknown) => hangUp(line, error instanceof Error ? error.message : String(error)));
  worker.on('exit', () => hangUp(line, 'the worker ended'));
  return line;
};
const hangUp = (line: Line, why: string) => {
  line.gone ??= why;
  line.onGone?.();
};
const stopListening = (line: Line) => {
  line.onAnswer = undefined;
  line.onGone = undefined;
};

const untilReady = (line: Line, startMs: number) =>
  new Promise<void>((resolve, reject) => {
    const end = (then: () => void) => {
      clearTimeout(timer);
      stopListening(line);
      then();
    };
    const late = new Error(`the policy was not loaded within ${startMs} ms`);
    const timer = setTimeout(() => end(() => reject(late)), startMs);
    line.onAnswer = (answer) => {
      if (answer.kind === 'ready') end(resolve);
    };
    line.onGone = () => end(() => reject(new Error(`the policy cannot be loaded: ${line.gone}`)));
  });

/** It holds nothing of what was asked: what waited for an answer lives until the next full collection, and takes along what it holds. */
const untilAnswered = (line: Line, batch: number) =>
  new Promise<SlotResult>((resolve) => {
    if (line.gone) return resolve({ kind: 'lost', why: line.gone });
    const end = (result: SlotResult) => {
      stopListening(line);
      resolve(result);
    };
    line.onAnswer = (answer) => {
      if (answer.kind === 'ready' || answer.batch !== batch) return;
      if (answer.kind === 'done') end({ kind: 'done', evaluations: answer.evaluations });
      else end({ kind: 'lost', why: answer.why });
    };
    line.onGone = () => end({ kind: 'lost', why: line.gone ?? 'the worker ended' });
  });

export const startSlot = ({ policy, module, worker: file, cutOffMs, startMs }: SlotOptions): Slot => {
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(file, {
    workerData: { policy, module, progress } satisfies WorkerStart,
    resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 2 },
    // For NODE_COMPILE_CACHE: without it each worker strips types anew, and keeps 10 MB of what it took.
    env: SHARE_ENV,
  });
  const line = openLine(worker);
  let batch = 0;
  let busy = false;
  let watch: Watch | undefined;
  /** From its first batch on: a warm one that waits for its turn costs no timer. */
  const watched = () =>
    startWatch({
      cutOffMs,
      at: () => (busy && !line.gone ? `${batch}/${Atomics.load(progress, 0)}` : undefined),
      spentMs: () => spentMs(worker),
      onHung: () => hangUp(line, `no decision within ${cutOffMs} ms`),
    });
  const ready = untilReady(line, startMs);
  let isReady = false;
  ready.then(
    () => {
      isReady = true;
    },
    // Who uses the slot hears of it; until then a refusal must not end the process.
    () => {},
  );
  return {
    ready,
    isReady: () => isReady,
    run: async (inputs) => {
      busy = true;
      if (!line.gone) watch ??= watched();
      const answered = untilAnswered(line, ++batch);
      worker.postMessage({ batch, inputs } satisfies WorkerAsk);
      const result = await answered;
      busy = false;
      return result;
    },
    end: async () => {
      watch?.stop();
      hangUp(line, 'the worker was ended');
      await worker.terminate();
    },
  };
};
