export { freePorts, type Ground, type GroundOptions, startGround } from './ground.ts';
export type { Program } from './program.ts';
