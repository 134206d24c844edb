export * from './error.ts';
export * from './folder.ts';
export * from './run.ts';
export * from './witness.ts';
