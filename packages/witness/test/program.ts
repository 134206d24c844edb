import { runWitness } from '../src/index.ts';

// The witness without the command line around it, which starts faster: for tests that kill it often.
await runWitness(
  { folder: process.argv[2] as string, host: '127.0.0.1', port: 0, level: 'info' },
  new AbortController().signal,
);
