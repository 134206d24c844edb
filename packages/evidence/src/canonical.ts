import canonicalize from 'canonicalize';
import { EvidenceError } from './error.ts';

/** Bodies of the protocol nest 32 deep; an event wraps them in a few levels of its own. */
const MAX_DEPTH = 64;

/**
 * The RFC 8785 text of a JSON value.
 *
 * Two values with one text are the same evidence, so what JSON would drop or change silently (undefined, functions,
 * holes in arrays, dates, maps, byte arrays) is refused with NOT_CANONICAL, like non-finite numbers, lone surrogates,
 * cycles and nesting beyond 64. The message names the place as a JSON pointer, never the content.
 */
export function canonical(value: unknown): string {
  if (!isJson(value, 0)) throw notCanonical(value);
  try {
    return canonicalize(value) as string;
  } catch (cause) {
    throw new EvidenceError('NOT_CANONICAL', 'a number is not finite or a string holds a lone surrogate', { cause });
  }
}

/** Only looks at shapes: numbers and strings are checked by the serializer, which reads each of them anyway. */
function isJson(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return true;
    case 'object':
      if (value === null) return true;
      if (depth >= MAX_DEPTH) return false;
      return Array.isArray(value) ? isJsonArray(value, depth) : isJsonObject(value, depth);
    default:
      return false;
  }
}

function isJsonArray(array: readonly unknown[], depth: number): boolean {
  for (let i = 0; i < array.length; i++) {
    if (!isJson(array[i], depth + 1)) return false;
  }
  return true;
}

function isJsonObject(object: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in object) {
    if (!isJson((object as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return true;
}

function notCanonical(value: unknown): EvidenceError {
  const found = firstNonJson(value, '', 0) ?? { pointer: '', what: 'not JSON' };
  return new EvidenceError('NOT_CANONICAL', `${found.pointer || 'the value'} is ${found.what}`);
}

/** The slow twin of isJson, run only to explain a refusal. */
function firstNonJson(value: unknown, pointer: string, depth: number): { pointer: string; what: string } | undefined {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return undefined;
  if (typeof value !== 'object') return { pointer, what: typeof value };
  if (depth >= MAX_DEPTH) return { pointer: pointer.slice(0, 200), what: `nested deeper than ${MAX_DEPTH}` };
  if (!Array.isArray(value) && !isJsonObject(Object.create(Object.getPrototypeOf(value) as object | null), 0)) {
    return { pointer, what: 'not a plain object' };
  }
  for (const key of Array.isArray(value) ? Array.from(value.keys(), String) : Object.keys(value)) {
    const member = (value as Record<string, unknown>)[key];
    const found = firstNonJson(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
    if (found) return found;
  }
  return undefined;
}
