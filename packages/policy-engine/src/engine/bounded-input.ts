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

interface Fault {
  /** From the arguments inwards; only so many of its tokens are told. */
  path: string[];
  tokens?: number;
  why: string;
}

const pointerTo = (path: readonly string[]) =>
  path
    .map((token) => `/${token.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
    .slice(0, 256);

/**
 * The field that keeps a call's arguments from being read. The engine hashes keys without a seed (thousands of colliding
 * keys hang it), does not bound depth, and reads a lone surrogate or an infinite number as something else: so none of
 * these get that far, whoever checked before.
 */
export const argumentsFault = (args: Record<string, unknown>, bounds: Bounds): string | undefined => {
  const fault = faultOfObject(args, 1, bounds);
  return fault && `${pointerTo(['arguments', ...fault.path].slice(0, fault.tokens))}: ${fault.why}`;
};

/** The copy of a call's arguments that the engine reads, or what keeps it from reading them. */
export const boundedArguments = (args: Record<string, unknown>, bounds: Bounds): Bounded => {
  const fault = argumentsFault(args, bounds);
  return fault === undefined ? { value: shortenedObject(args) } : { fault };
};

const faultOf = (value: unknown, depth: number, bounds: Bounds): Fault | undefined => {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : { path: [], why: 'a lone surrogate is not allowed' };
    case 'number':
      return Number.isFinite(value) ? undefined : { path: [], why: 'not a finite number' };
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return undefined;
      return Array.isArray(value) ? faultOfArray(value, depth, bounds) : faultOfObject(value, depth, bounds);
    default:
      return { path: [], why: 'not JSON' };
  }
};

const tooDeep = (bounds: Bounds): Fault => ({ path: [], tokens: 3, why: `deeper than ${bounds.depth} levels` });

const faultOfObject = (object: object, depth: number, bounds: Bounds): Fault | undefined => {
  if (depth > bounds.depth) return tooDeep(bounds);
  const keys = Object.keys(object);
  if (keys.length > bounds.keysPerObject) return { path: [], why: `more than ${bounds.keysPerObject} keys` };
  for (const key of keys) {
    if (!key.isWellFormed()) return { path: [], why: 'a key holds a lone surrogate' };
    if (key === '__proto__') return { path: [], why: 'a key is not allowed' };
    const fault = faultOf((object as Record<string, unknown>)[key], depth + 1, bounds);
    if (fault) return { ...fault, path: [key, ...fault.path] };
  }
  return undefined;
};

const faultOfArray = (array: readonly unknown[], depth: number, bounds: Bounds): Fault | undefined => {
  if (depth > bounds.depth) return tooDeep(bounds);
  for (let i = 0; i < array.length; i++) {
    const fault = faultOf(array[i], depth + 1, bounds);
    if (fault) return { ...fault, path: [String(i), ...fault.path] };
  }
  return undefined;
};

const shortened = (value: unknown): unknown => {
  if (typeof value === 'string') return value.length > maxCharacters ? summary(value.length, value) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (!Array.isArray(value)) return shortenedObject(value);
  return value.length > maxMembers ? summary(value.length, JSON.stringify(value)) : value.map(shortened);
};

const shortenedObject = (object: object): Record<string, unknown> => {
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(object)) copy[key] = shortened((object as Record<string, unknown>)[key]);
  return copy;
};

const summary = (length: number, text: string): Summary => ({ length, sha256: hash('sha256', text, 'hex') });
