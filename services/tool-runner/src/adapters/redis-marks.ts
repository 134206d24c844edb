import type { Redis } from 'ioredis';
import type { SharedMarks } from '../used-permits.ts';

interface Waiting {
  id: string;
  ttlMs: number;
  resolve(isNew: boolean): void;
  reject(error: unknown): void;
}

/** Marks of used permits that all replicas see: keys `permit:<id>`. What comes together goes in one round trip. */
export const createRedisMarks = (redis: Pick<Redis, 'pipeline'>): SharedMarks => {
  let gathered: Waiting[] = [];
  const send = async () => {
    const batch = gathered;
    gathered = [];
    const pipeline = redis.pipeline();
    for (const { id, ttlMs } of batch) pipeline.set(`permit:${id}`, '1', 'PX', Math.ceil(ttlMs), 'NX');
    try {
      const answers = await pipeline.exec();
      for (const [i, one] of batch.entries()) {
        const [error, answer] = answers?.[i] ?? [new Error('Redis gave no answer'), null];
        if (error) one.reject(error);
        else one.resolve(answer === 'OK');
      }
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  };
  return {
    mark: (id, ttlMs) =>
      new Promise((resolve, reject) => {
        if (gathered.length === 0) setImmediate(() => void send().catch(() => {}));
        gathered.push({ id, ttlMs, resolve, reject });
      }),
  };
};
