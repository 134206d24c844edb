import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { tuneV8 } from '@agentgate/runtime';

// In a process of its own, for the compile cache: loads the modules of all services and the thread that one of them starts, each with the flags that it
// will have, because V8 takes no code of others. What throws without a service around it was compiled all the same.
await Promise.allSettled(globSync('services/*/src/main.ts').map((file) => import(resolve(file))));
tuneV8();
const thread = new Worker(resolve('packages/policy-engine/src/engine/worker.ts'));
thread.on('error', () => {});
thread.on('exit', () => process.exit());
