import { randomBytes } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
type Prefix = 'call' | 'ses' | 'evt' | 'prm' | 'apr';

/** `<prefix>_` and 26 base-32 digits: 10 of the time in milliseconds, 16 random (80 bits), so ids sort by time and cannot be guessed. */
export const newId = (prefix: Prefix, now: number = Date.now()): string => {
  let time = '';
  for (let left = now, i = 0; i < 10; i++, left = Math.floor(left / 32)) time = alphabet[left % 32] + time;
  let random = '';
  for (const byte of randomBytes(16)) random += alphabet[byte & 31];
  return `${prefix}_${time}${random}`;
};
