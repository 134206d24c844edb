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
    release: async (at) => void (await guarded(redis.del(at))),
  };
};
