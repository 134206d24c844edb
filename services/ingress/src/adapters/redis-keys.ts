import { AgentGateError, callReply, limits } from '@agentgate/contracts';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Claim, KeyStore } from '../idempotency.ts';

const stored = z.strictObject({
  call: z.string(),
  content: z.string(),
  until: z.number(),
  reply: callReply.omit({ v: true }).optional(),
});

/** A call's id stands under a key once; with its reply there is nobody at work on it. */
const retake = `
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local standing = cjson.decode(text)
if standing.call ~= ARGV[1] or not standing.reply then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

/** Idempotency keys in Redis, `idem:*`, each kept for 10 minutes. A Redis that does not answer refuses the call: nothing ran. */
export const createRedisKeys = (redis: Redis): KeyStore => {
  const guarded = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (cause) {
      throw new AgentGateError('INTERNAL', 'the store of idempotency keys did not answer; nothing ran', { cause });
    }
  };
  const parse = (text: string | null): Claim | undefined =>
    text === null ? undefined : (stored.parse(JSON.parse(text)) as Claim);
  return {
    claim: async (at, claim) =>
      parse(await guarded(redis.set(at, JSON.stringify(claim), 'PX', limits.idempotencyTtlMs, 'NX', 'GET'))),
    read: async (at) => parse(await guarded(redis.get(at))),
    finish: async (at, claim) =>
      void (await guarded(redis.set(at, JSON.stringify(claim), 'PX', limits.idempotencyTtlMs, 'XX'))),
    retake: async (at, { call }, claim) =>
      (await guarded(redis.eval(retake, 1, at, call, JSON.stringify(claim), limits.idempotencyTtlMs))) === 1,
  };
};
