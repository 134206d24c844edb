import { readEnvironment } from './config.ts';
import { runWitness } from './run.ts';

// The witness without the command line around it, as `agentgate up` and containers start it.
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
await runWitness(readEnvironment(), stop.signal);
