export { type AddressClass, classOfAddress } from './address.ts';
export { type ApprovedCall, approvalBinding, approvalInvalid, checkGrant, isOwn, type Requester } from './approval.ts';
export {
  type BaseConfig,
  baseConfig,
  type Environment,
  readBaseConfig,
  readGateConfig,
  readVariables,
  required,
  StartError,
} from './base-config.ts';
export { createCounter } from './counter.ts';
export { createGauge } from './gauge.ts';
export { isOlder, requireServer, requireStream } from './ground-check.ts';
export { createHeld, type Held } from './held.ts';
export type { Health, HttpAnswer } from './http.ts';
export { newId } from './ids.ts';
export { createKillState, createKillView, type KillState, type KillView } from './kill-view.ts';
export { http, https, listenOn } from './node-http.ts';
export { createListingSeal, createPermitSeal, permitRefused, refuseOtherTime } from './permit.ts';
export { type AnswerPerson, createAnswerPerson } from './person.ts';
export { announcePoint } from './point.ts';
export { createProducer, type Producer } from './producer.ts';
export { createRecent } from './recent.ts';
export { connectRedis, redisReady } from './redis.ts';
export { createSecretReader, type SecretReaderOptions } from './secret-source.ts';
export { type Running, runService, type ServiceContext } from './service.ts';
export { createSecretFinder, spellingsOf } from './spellings.ts';
export { readTenants } from './tenants.ts';
export { quarantineOf, toolDigest } from './tool-pin.ts';
export { parseTrust, readTrust, type Trust } from './trust.ts';
export { tuneV8 } from './v8.ts';
export { parseWitnesses, readWitnesses, type Witnesses } from './witnesses.ts';
