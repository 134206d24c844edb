export { registerEvidence } from './commands.ts';
export { createEntryVerifier, type ReadEntry, type ReadOptions, readEvidence } from './read.ts';
