import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { RateLimits } from '../ports.ts';
import { unavailable } from './redis-script.ts';

/** Different limits there may be; a policy that makes up more has its oldest set up anew, and its counters stand in Redis. */
const maxLimiters = 1_024;

/** Windows begin with the first call in them and end by Redis' clock; all replicas count together. */
export const createRedisRateLimits = (redis: Redis): RateLimits => {
  const limiters = new Map<string, RateLimiterRedis>();
  const limiterOf = (limit: number, windowS: number): RateLimiterRedis => {
    const name = `rate:${limit}/${windowS}`;
    const found = limiters.get(name);
    if (found) return found;
    const made = new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: name,
      points: limit,
      duration: windowS,
      rejectIfRedisNotReady: true,
    });
    limiters.set(name, made);
    for (const oldest of limiters.keys()) {
      if (limiters.size <= maxLimiters) break;
      limiters.delete(oldest);
    }
    return made;
  };
  return {
    take: async (limits) => {
      for (const { key, limit, window_s } of limits) {
        try {
          await limiterOf(limit, window_s).consume(key);
        } catch (error) {
          if (!(error instanceof RateLimiterRes)) throw unavailable(error);
          return { key, retryAfterMs: Math.max(1, error.msBeforeNext) };
        }
      }
      return undefined;
    },
  };
};
