export * from './error.ts';
export * from './folder.ts';
export * from './run.ts';
