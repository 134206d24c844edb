export { freePort } from './free-port.ts';
export { freePorts, type Ground, type GroundOptions, startGround } from './ground.ts';
export { type KeptStream, keepStream } from './lost-end.ts';
export { type Postgres, startPostgres } from './postgres.ts';
export { createProgram, type Program } from './program.ts';
export { type PlainRedis, startPlainRedis } from './redis.ts';
