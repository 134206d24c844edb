import { createHash, hash } from 'node:crypto';
import { refuse } from './refused.ts';

// How OPA digests the files of a signed bundle: JSON by what it says, whatever its spacing and order of keys; all else by its bytes.

const mostLevels = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The value of a JSON file. Throws POLICY_INVALID naming it. */
export const readJson = (name: string, bytes: Uint8Array): unknown => {
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
  walk(value, 0, { name, write: (text) => void sha.update(text, 'utf8') });
  return sha.digest('hex');
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

/** Go sorts by the bytes of UTF-8, which is the order of code points and not that of UTF-16. */
const byCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Go's encoder escapes both line separators, which JSON does not ask for. */
const primitive = (value: unknown): string =>
  JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
