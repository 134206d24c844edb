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
  const order = orderOf(value, 0);
  if (order === 'not JSON') throw notCanonical(value);
  // Where every object's members stand in order already, as in every text that is read back, the native serializer
  // gives the same text three times as fast: RFC 8785 took strings and numbers from it.
  if (order === 'sorted') return JSON.stringify(value);
  // Most of the others can be put in order. Members named by whole numbers cannot: the runtime hands them out before all others.
  const ordered = inOrder(value);
  return orderOf(ordered, 0) === 'sorted' ? JSON.stringify(ordered) : (canonicalize(value) as string);
}

function inOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(inOrder);
  const ordered: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const member = inOrder((value as Record<string, unknown>)[key]);
    // Assigned, a member of this name would become the prototype.
    if (key === '__proto__') Object.defineProperty(ordered, key, { value: member, enumerable: true });
    else ordered[key] = member;
  }
  return ordered;
}

/** How many bytes the canonical text has. It is not made: members in another order are as long. Throws as `canonical` does. */
export function canonicalBytes(value: unknown): number {
  if (orderOf(value, 0) === 'not JSON') throw notCanonical(value);
  return Buffer.byteLength(JSON.stringify(value));
}

type Order = 'sorted' | 'unsorted' | 'not JSON';

function orderOf(value: unknown, depth: number): Order {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? 'sorted' : 'not JSON';
    case 'number':
      return Number.isFinite(value) ? 'sorted' : 'not JSON';
    case 'boolean':
      return 'sorted';
    case 'object':
      if (value === null) return 'sorted';
      if (depth >= MAX_DEPTH) return 'not JSON';
      return Array.isArray(value) ? orderOfArray(value, depth) : orderOfObject(value, depth);
    default:
      return 'not JSON';
  }
}

function orderOfArray(array: readonly unknown[], depth: number): Order {
  let order: Order = 'sorted';
  for (let i = 0; i < array.length; i++) {
    const inner = orderOf(array[i], depth + 1);
    if (inner === 'not JSON') return inner;
    if (inner === 'unsorted') order = inner;
  }
  return order;
}

function orderOfObject(object: object, depth: number): Order {
  if (!isPlain(object)) return 'not JSON';
  let order: Order = 'sorted';
  let before: string | undefined;
  for (const key in object) {
    const inner = key.isWellFormed() ? orderOf((object as Record<string, unknown>)[key], depth + 1) : 'not JSON';
    if (inner === 'not JSON') return inner;
    // Comparing strings compares UTF-16 code units, which is the order of RFC 8785.
    if (inner === 'unsorted' || (before !== undefined && before > key)) order = 'unsorted';
    before = key;
  }
  return order;
}

function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

function notCanonical(value: unknown): EvidenceError {
  const found = firstFault(value, '', 0) ?? { pointer: '', what: 'not JSON' };
  return new EvidenceError('NOT_CANONICAL', `${found.pointer || 'the value'} is ${found.what}`);
}

/** The slow twin of orderOf, run only to explain a refusal. */
function firstFault(value: unknown, pointer: string, depth: number): { pointer: string; what: string } | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return { pointer, what: 'not a finite number' };
  if (typeof value === 'string' && !value.isWellFormed()) return { pointer, what: 'a string with a lone surrogate' };
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return undefined;
  if (typeof value !== 'object') return { pointer, what: typeof value };
  if (depth >= MAX_DEPTH) return { pointer: pointer.slice(0, 200), what: `nested deeper than ${MAX_DEPTH}` };
  if (!Array.isArray(value) && !isPlain(value)) return { pointer, what: 'not a plain object' };
  for (const key of Array.isArray(value) ? Array.from(value.keys(), String) : Object.keys(value)) {
    if (!key.isWellFormed()) return { pointer, what: 'an object with a lone surrogate in a key' };
    const member = (value as Record<string, unknown>)[key];
    const found = firstFault(member, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
    if (found) return found;
  }
  return undefined;
}
