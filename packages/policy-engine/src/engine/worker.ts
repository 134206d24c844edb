import { parentPort, workerData } from 'node:worker_threads';
import { createEvaluator } from './evaluator.ts';
import { serveEvaluations, type WorkerStart } from './worker-loop.ts';

const { policy, module, progress } = workerData as WorkerStart;
if (!parentPort) throw new Error('the policy worker was not started as one');
const evaluate = await createEvaluator(policy, module);
// As a service does once it has started.
globalThis.gc?.({ type: 'major', flavor: 'last-resort' });
serveEvaluations(parentPort, evaluate, progress);
