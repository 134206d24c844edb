import { createHash, hash } from 'node:crypto';
import { refuse } from './refused.ts';

// How OPA digests the files of a signed bundle: JSON by what it says, whatever its spacing and order of keys; all else by its bytes.

const mostLevels = 64;
/** Thirty thousand grants with conditions. Each costs time of the thread that decides, and an archive of 90 KiB can hold twelve million. */
const mostValues = 1_000_000;
/** Characters that are hashed at once. */
const chunk = 64 * 1024;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Never too few: those in texts are counted as well. */
const valuesIn = (bytes: Uint8Array): number => {
  let count = 1;
  // What a value stands behind: a comma, a colon, or the beginning of what holds it.
  for (const byte of bytes) if (byte === 0x2c || byte === 0x3a || byte === 0x5b || byte === 0x7b) count++;
  return count;
};

/** The value of a JSON file. Throws POLICY_INVALID naming it. */
export const readJson = (name: string, bytes: Uint8Array): unknown => {
  if (valuesIn(bytes) > mostValues) throw refuse(name, `holds more than ${mostValues} values`);
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    throw refuse(name, 'is not JSON in UTF-8', cause);
  }
};

/** Lowercase hex, SHA-256. */
export const fileDigest = (name: string, bytes: Uint8Array): string =>
  name === 'data.json' || name === '.manifest' ? jsonDigest(name, readJson(name, bytes)) : hash('sha256', bytes, 'hex');

export const jsonDigest = (name: string, value: unknown): string => {
  const sha = createHash('sha256');
  let waiting = '';
  const write = (text: string) => {
    waiting += text;
    if (waiting.length < chunk) return;
    sha.update(waiting, 'utf8');
    waiting = '';
  };
  walk(value, 0, { name, write });
  return sha.update(waiting, 'utf8').digest('hex');
};

interface Sink {
  name: string;
  write(text: string): void;
}

const walk = (value: unknown, level: number, sink: Sink): void => {
  if (level > mostLevels) throw refuse(sink.name, `deeper than ${mostLevels} levels`);
  if (typeof value !== 'object' || value === null) {
    sink.write(primitive(value));
    return;
  }
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  sink.write(open ?? '');
  if (Array.isArray(value))
    for (const [i, member] of value.entries()) {
      if (i > 0) sink.write(',');
      walk(member, level + 1, sink);
    }
  else
    for (const [i, key] of Object.keys(value).sort(byCodePoints).entries()) {
      sink.write(`${i > 0 ? ',' : ''}${primitive(key)}:`);
      walk((value as Record<string, unknown>)[key], level + 1, sink);
    }
  sink.write(close ?? '');
};

/** Go sorts by the bytes of UTF-8, which is the order of code points and not that of UTF-16: surrogates come after all else. */
const byCodePoints = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
};
const rank = (unit: number): number => {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
};

/** Go's encoder escapes both line separators, which JSON does not ask for. */
const primitive = (value: unknown): string =>
  typeof value === 'string'
    ? JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
    : JSON.stringify(value);
