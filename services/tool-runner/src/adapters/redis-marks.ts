import type { Redis } from 'ioredis';
import type { SharedMarks } from '../used-permits.ts';

interface Waiting {
  key: string;
  ttlMs: number;
  resolve(isNew: boolean): void;
  reject(error: unknown): void;
}

/** What SET … NX does, key by key. As commands of a pipeline each permit costs this process thrice as much, with a promise and a timer of its own. */
const lua = `
local new = {}
for i, key in ipairs(KEYS) do
  new[i] = redis.call('SET', key, '1', 'PX', ARGV[i], 'NX') and 1 or 0
end
return new`;
type MarkPermits = (count: number, ...keysAndTtls: (string | number)[]) => Promise<unknown>;

/** Marks of used permits that all replicas see: keys `permit:<id>`. What comes together goes in one round trip. */
export const createRedisMarks = (redis: Pick<Redis, 'set' | 'defineCommand'>): SharedMarks => {
  redis.defineCommand('markPermits', { lua });
  const scripted = redis as typeof redis & { markPermits: MarkPermits };
  const ask = async (batch: readonly Waiting[]): Promise<unknown> => {
    const [one, ...others] = batch;
    if (one && others.length === 0) return [(await redis.set(one.key, '1', 'PX', one.ttlMs, 'NX')) === 'OK' ? 1 : 0];
    return scripted.markPermits(batch.length, ...batch.map(({ key }) => key), ...batch.map(({ ttlMs }) => ttlMs));
  };
  let gathered: Waiting[] = [];
  const send = async () => {
    const batch = gathered;
    gathered = [];
    try {
      const answers = await ask(batch);
      if (!Array.isArray(answers) || answers.length !== batch.length) throw new Error('Redis gave another answer');
      for (const [i, one] of batch.entries()) one.resolve(answers[i] === 1);
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  };
  return {
    mark: (id, ttlMs) =>
      new Promise((resolve, reject) => {
        if (gathered.length === 0) setImmediate(send);
        gathered.push({ key: `permit:${id}`, ttlMs: Math.ceil(ttlMs), resolve, reject });
      }),
  };
};
