import { hash } from 'node:crypto';

/**
 * Beyond this the engine reads how long a string is and its digest instead: a string of the longest message costs it 0.5 ms.
 * Conditions on arguments are judged before, on the whole string.
 */
const maxCharacters = 2048;
/** A longer array is told the same way. */
const maxMembers = 1024;

/** In place of what is too long for the engine. */
interface Summary {
  length: number;
  /** Lowercase hex, SHA-256 of the string, or of the array's JSON text. */
  sha256: string;
}

/** The protocol's bounds of any message. Handed in: their module brings every schema with it, 40 MB a worker. */
export interface Bounds {
  depth: number;
  keysPerObject: number;
}

export type Bounded = { value: Record<string, unknown> } | { fault: string };

class TooMuch extends Error {}

const pointerTo = (path: readonly string[]) =>
  path
    .map((token) => `/${token.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
    .slice(0, 256);

/**
 * The copy of a call's arguments that the engine reads, or the field that keeps it from being read. The engine hashes keys
 * without a seed (thousands of colliding keys hang it), does not bound depth, and reads a lone surrogate or an infinite
 * number as something else: so none of these get that far, whoever checked before.
 */
export const boundedArguments = (args: Record<string, unknown>, bounds: Bounds): Bounded => {
  try {
    return { value: copyObject(args, ['arguments'], bounds) };
  } catch (error) {
    if (error instanceof TooMuch) return { fault: error.message };
    throw error;
  }
};

const copyObject = (object: object, path: string[], bounds: Bounds): Record<string, unknown> => {
  if (path.length > bounds.depth)
    throw new TooMuch(`${pointerTo(path.slice(0, 3))}: deeper than ${bounds.depth} levels`);
  const entries = Object.entries(object);
  if (entries.length > bounds.keysPerObject)
    throw new TooMuch(`${pointerTo(path)}: more than ${bounds.keysPerObject} keys`);
  const copy: Record<string, unknown> = {};
  for (const [key, value] of entries) {
    if (!key.isWellFormed()) throw new TooMuch(`${pointerTo(path)}: a key holds a lone surrogate`);
    if (key === '__proto__') throw new TooMuch(`${pointerTo(path)}: a key is not allowed`);
    copy[key] = bounded(value, [...path, key], bounds);
  }
  return copy;
};

const bounded = (value: unknown, path: string[], bounds: Bounds): unknown => {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw new TooMuch(`${pointerTo(path)}: a lone surrogate is not allowed`);
      return value.length > maxCharacters ? summary(value.length, value) : value;
    case 'number':
      if (!Number.isFinite(value)) throw new TooMuch(`${pointerTo(path)}: not a finite number`);
      return value;
    case 'boolean':
      return value;
    case 'object':
      if (value === null) return null;
      return Array.isArray(value) ? copyArray(value, path, bounds) : copyObject(value, path, bounds);
    default:
      throw new TooMuch(`${pointerTo(path)}: not JSON`);
  }
};

const copyArray = (array: unknown[], path: string[], bounds: Bounds): unknown => {
  if (path.length > bounds.depth)
    throw new TooMuch(`${pointerTo(path.slice(0, 3))}: deeper than ${bounds.depth} levels`);
  const copy = array.map((member, index) => bounded(member, [...path, String(index)], bounds));
  return array.length > maxMembers ? summary(array.length, JSON.stringify(array)) : copy;
};

const summary = (length: number, text: string): Summary => ({ length, sha256: hash('sha256', text, 'hex') });
