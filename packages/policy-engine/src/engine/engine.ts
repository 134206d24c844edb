import { AgentGateError } from '@agentgate/contracts';
import type { CompiledPolicy } from '../grants/compile.ts';
import { argumentsFault } from './bounded-input.ts';
import type { Evaluation } from './evaluator.ts';
import type { PolicyInput } from './policy-input.ts';
import { startWorkers, type WorkersLog } from './workers.ts';

/** Decides in a worker. An evaluation that hangs or throws costs its own call an answer, and the worker its life. */
export interface PolicyEngine {
  /** One answer an input, in order; an error is POLICY_UNAVAILABLE or OVERLOADED, for that call alone. */
  decide(inputs: PolicyInput[]): Promise<(Evaluation | AgentGateError)[]>;
  /** Workers that had to be ended. */
  readonly lost: number;
  /** Gives up its warm worker while another revision is loaded beside it, and takes one again. */
  dropSpare(): Promise<void>;
  keepSpare(): void;
  close(): Promise<void>;
}

export interface EngineOptions {
  policy: CompiledPolicy;
  module: WebAssembly.Module;
  log: WorkersLog;
  /** One evaluation may take so long; default 50. */
  cutOffMs?: number;
  /** Loading may take so long; default 20,000. */
  startMs?: number;
  /** Keeps a warm worker for when one is lost; default true. */
  spare?: boolean;
  worker?: URL;
}

interface Waiting {
  /** As JSON: the worker has it sooner so, and it is what the engine reads in the end. */
  input: string;
  answer(evaluation: Evaluation | AgentGateError): void;
}

const maxBatch = 256;
/** Calls that may wait; beyond it they are told at once. */
const maxWaiting = 8_192;

const unavailable = (why: string) =>
  new AgentGateError('POLICY_UNAVAILABLE', `the policy engine did not decide: ${why}`);

/** Resolves once the policy is loaded; rejects where it cannot be. */
export const startEngine = async (opts: EngineOptions): Promise<PolicyEngine> => {
  const { policy, module, log, cutOffMs = 50, startMs = 20_000, spare = true } = opts;
  const worker = opts.worker ?? new URL('./worker.ts', import.meta.url);
  const workers = await startWorkers({ policy, module, worker, cutOffMs, startMs, spare }, log);
  const queue: Waiting[] = [];
  let running: Promise<void> | undefined;
  let closed = false;

  /** A batch that was lost is decided again one by one: only the call that is to blame gets no answer. */
  const decideBatch = async (batch: Waiting[]): Promise<void> => {
    const whole = await workers.attempt(batch.map((each) => each.input));
    if (whole.kind === 'done')
      batch.forEach((each, i) => {
        each.answer(whole.evaluations[i] ?? unavailable('no answer'));
      });
    else if (whole.kind === 'none' || batch.length === 1) for (const each of batch) each.answer(unavailable(whole.why));
    else for (const each of batch) await decideBatch([each]);
  };
  const pump = async () => {
    while (queue.length > 0) {
      const batch = queue.splice(0, maxBatch);
      try {
        await decideBatch(batch);
      } catch (error) {
        log.error({ err: error }, 'the policy engine failed');
        for (const each of batch) each.answer(unavailable('it failed'));
      }
    }
    running = undefined;
  };
  const enqueue = (input: PolicyInput, answer: Waiting['answer']) => {
    if (closed) return answer(unavailable('it has stopped'));
    if (queue.length >= maxWaiting)
      return answer(new AgentGateError('OVERLOADED', 'too many calls wait for a decision'));
    // Before there is a text: in it, what is no number would be null, and what is no JSON would be gone.
    const fault = argumentsFault(input.call.arguments, policy.bounds);
    if (fault !== undefined) return answer({ fault });
    queue.push({ input: JSON.stringify(input), answer });
  };
  return {
    get lost() {
      return workers.lost;
    },
    decide: (inputs) => {
      // Not with an executor: what it sees stays until the answers are there, and of an input only the text is needed.
      const { promise, resolve } = Promise.withResolvers<(Evaluation | AgentGateError)[]>();
      const answers: (Evaluation | AgentGateError)[] = [];
      let left = inputs.length;
      if (left === 0) resolve(answers);
      inputs.forEach((input, i) => {
        enqueue(input, (answer) => {
          answers[i] = answer;
          if (--left === 0) resolve(answers);
        });
      });
      if (queue.length > 0) running ??= pump();
      return promise;
    },
    dropSpare: () => workers.dropSpare(),
    keepSpare: () => workers.keepSpare(),
    close: async () => {
      closed = true;
      for (const each of queue.splice(0)) each.answer(unavailable('it has stopped'));
      await workers.end();
      await running;
    },
  };
};
