import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** Redis whose silence shows: nothing queues while it is away, and every command ends within 500 ms. */
export const connectRedis = ({ urlFile, log }: { urlFile: string; log: Pick<Logger, 'warn' | 'info'> }): Redis => {
  const redis = new Redis(readFileSync(urlFile, 'utf8').trim(), {
    enableOfflineQueue: false,
    commandTimeout: 500,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    retryStrategy: (times) => Math.min(50 * 2 ** times, 1_000),
  });
  redis.on('error', (error: Error) => log.warn({ err: error }, 'Redis reports an error'));
  return redis;
};

/** Resolves once Redis answers; rejects after `timeoutMs`. */
export const redisReady = async (redis: Redis, timeoutMs = 10_000): Promise<void> => {
  const until = performance.now() + timeoutMs;
  for (;;) {
    try {
      await redis.ping();
      return;
    } catch (cause) {
      if (performance.now() > until) throw new Error('Redis does not answer', { cause });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
};
