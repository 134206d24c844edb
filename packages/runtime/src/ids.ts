import { randomFillSync } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
type Prefix = 'call' | 'ses' | 'evt' | 'prm' | 'apr' | 'sub' | 'exc' | 'hold';

const randomChars = 16;
/** Asking the system for 16 bytes costs 10 µs, and a call has four ids: so many are asked for at once, and each is used once. */
const pooledIds = 256;

const createPool = () => {
  const pool = Buffer.alloc(randomChars * pooledIds);
  let used = pool.length;
  return (): string => {
    if (used === pool.length) {
      randomFillSync(pool);
      // Each byte becomes its digit at once: an id's digits are then read as one text.
      for (let i = 0; i < pool.length; i++) pool[i] = alphabet.charCodeAt((pool[i] as number) & 31);
      used = 0;
    }
    used += randomChars;
    return pool.toString('latin1', used - randomChars, used);
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
    return `${prefix}_${stamp}${take()}`;
  };
};

const timeDigits = (now: number): string => {
  let time = '';
  for (let left = now, i = 0; i < 10; i++, left = Math.floor(left / 32)) time = alphabet[left % 32] + time;
  return time;
};

/** The ids of this process. The pool behind it is its only state; nothing happens before the first id. */
export const newId = createIds();
