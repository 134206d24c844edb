import { parentPort, workerData } from 'node:worker_threads';
import { serveEvaluations, type WorkerStart } from '../../src/engine/worker-loop.ts';

// A worker that does what a tool's name says, as an engine in trouble would: for a test of what its death costs.
if (!parentPort) throw new Error('not a worker');
const { progress } = workerData as WorkerStart;
serveEvaluations(
  parentPort,
  ({ call }) => {
    if (call.name === 'hang') for (;;) Math.sqrt(2);
    if (call.name === 'throw') throw new Error('unreachable executed');
    if (call.name === 'abort') throw 'opa_abort';
    if (call.name === 'exit') process.exit(1);
    const until = performance.now() + (call.name === 'slow' ? 30 : 0);
    while (performance.now() < until) Math.sqrt(2);
    return { result: call.name };
  },
  progress,
);
