export { type BaseConfig, baseConfig, readBaseConfig, required, StartError } from './base-config.ts';
export { isOlder, requireServer, requireStream } from './ground-check.ts';
export type { Health, HttpAnswer } from './http.ts';
export { newId } from './ids.ts';
export { createKillState, createKillView, type KillState, type KillView } from './kill-view.ts';
export { createProducer, type Producer } from './producer.ts';
export { connectRedis, redisReady } from './redis.ts';
export { type Running, runService, type ServiceContext } from './service.ts';
export { parseTrust, readTrust, type Trust } from './trust.ts';
