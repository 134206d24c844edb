import { randomFillSync } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
type Prefix = 'call' | 'ses' | 'evt' | 'prm' | 'apr' | 'sub' | 'exc' | 'hold';

const randomChars = 16;
/** Asking the system for 16 bytes costs 10 µs, and a call has four ids: so many are asked for at once, and each is used once. */
const pooledIds = 256;

const createPool = () => {
  const pool = Buffer.alloc(randomChars * pooledIds);
  let used = pool.length;
  return (): Buffer => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += randomChars;
    return pool.subarray(used - randomChars, used);
  };
};

/** Makes ids: `<prefix>_` and 26 base-32 digits, 10 of the time in milliseconds, 16 random (80 bits): they sort by time and cannot be guessed. */
export const createIds = (): ((prefix: Prefix, now?: number) => string) => {
  const take = createPool();
  let stampedAt = -1;
  let stamp = '';
  return (prefix, now = Date.now()) => {
    if (now !== stampedAt) {
      stampedAt = now;
      stamp = timeDigits(now);
    }
    let random = '';
    for (const byte of take()) random += alphabet[byte & 31];
    return `${prefix}_${stamp}${random}`;
  };
};

const timeDigits = (now: number): string => {
  let time = '';
  for (let left = now, i = 0; i < 10; i++, left = Math.floor(left / 32)) time = alphabet[left % 32] + time;
  return time;
};

/** The ids of this process. The pool behind it is its only state; nothing happens before the first id. */
export const newId = createIds();
