import { AgentGateError } from './error.ts';
import { limits } from './names.ts';

/** Bounds for one parse; all have the protocol's values as default. */
export interface JsonBounds {
  bytes?: number;
  depth?: number;
  keys?: number;
}

const malformed = (message: string) => new AgentGateError('MALFORMED', message);
const invalid = (pointer: string, message: string) =>
  new AgentGateError('FIELD_INVALID', `${pointer || '/'}: ${message}`);
const escapePointer = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses one JSON object as PROTOCOL.md bounds it: UTF-8, size, depth, keys per object, no duplicate key, no `__proto__`,
 * no NUL, no lone surrogate and no whole number that a double would round. Throws AgentGateError MALFORMED (no JSON object) or FIELD_INVALID with the JSON pointer (RFC 6901).
 * JSON.parse keeps the last of two equal keys, so two readers of the same bytes could see different calls: hence the scan before it.
 */
export const parseStrict = (body: Uint8Array, bounds: JsonBounds = {}): Record<string, unknown> => {
  const { bytes = limits.messageBytes, depth = limits.depth, keys = limits.keysPerObject } = bounds;
  if (body.byteLength > bytes) throw malformed(`body: ${body.byteLength} bytes, at most ${bytes} are allowed`);
  let text: string;
  try {
    text = utf8.decode(body);
  } catch (cause) {
    throw new AgentGateError('MALFORMED', 'body: not UTF-8', { cause });
  }
  scan(text, depth, keys);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AgentGateError('MALFORMED', 'body: not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('body: not a JSON object');
  const infinite = infiniteIn(value);
  if (infinite !== undefined) throw invalid(infinite, 'this number is too large');
  return value as Record<string, unknown>;
};

/** JSON has no infinity, but 1e999 parses to it: where. */
const infiniteIn = (value: unknown): string | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : '';
  if (typeof value !== 'object' || value === null) return undefined;
  for (const key of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    const inner = infiniteIn((value as Record<string | number, unknown>)[key]);
    if (inner !== undefined) return `/${escapePointer(String(key))}${inner}`;
  }
  return undefined;
};

interface Frame {
  keys: Set<string> | null;
  /** The key or index that the scan is at. */
  at: string | number;
}

const pointerOf = (stack: Frame[]) => stack.map((f) => `/${escapePointer(String(f.at))}`).join('');

/** Walks the text once without building values. It accepts some texts that are not JSON; JSON.parse refuses those after it. */
const scan = (text: string, maxDepth: number, maxKeys: number) => {
  const stack: Frame[] = [];
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const top = stack.at(-1);
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        stack.push({ keys: new Set(), at: '' });
        expectKey = true;
        break;
      case 0x5b: // [
        stack.push({ keys: null, at: 0 });
        expectKey = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        stack.pop();
        expectKey = false;
        continue;
      case 0x2c: // ,
        if (top) {
          if (typeof top.at === 'number') top.at++;
          expectKey = top.keys !== null;
        }
        continue;
      case 0x22: {
        const end = endOfString(text, i);
        const value = decodeString(text, i, end, stack, expectKey);
        if (expectKey && top?.keys) {
          takeKey(top, value, maxKeys, stack);
          expectKey = false;
        }
        i = end;
        continue;
      }
      default:
        if (isDigit(text.charCodeAt(i))) i = takeNumber(text, i, stack);
        continue;
    }
    if (stack.length > maxDepth) throw invalid(pointerOf(stack.slice(0, 3)), `deeper than ${maxDepth} levels`);
  }
};

const isDigit = (code: number) => code >= 0x30 && code <= 0x39;
const number = /[0-9.eE+-]*/y;
const longWholeNumber = /^[0-9]{16,}$/;

/**
 * The index of the last character of the number that begins at `start`. Beyond 2^53 a double rounds: the tool would be called with
 * another account, order or message than the agent named. Fractions and exponents say themselves that they are not exact.
 */
const takeNumber = (text: string, start: number, stack: Frame[]): number => {
  number.lastIndex = start;
  const literal = number.exec(text)?.[0] ?? '';
  if (longWholeNumber.test(literal) && String(Number(literal)) !== literal)
    throw invalid(pointerOf(stack), 'this whole number would be rounded: send it as text');
  return start + literal.length - 1;
};

const takeKey = (top: Frame, key: string, maxKeys: number, stack: Frame[]) => {
  top.at = key;
  if (key === '__proto__') throw invalid(pointerOf(stack), 'this key is not allowed');
  if (top.keys?.has(key)) throw invalid(pointerOf(stack), 'duplicate key');
  top.keys?.add(key);
  if ((top.keys?.size ?? 0) > maxKeys) throw invalid(pointerOf(stack.slice(0, -1)), `more than ${maxKeys} keys`);
};

/** The index of the closing quote of the string that opens at `start`. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  throw malformed('body: not JSON');
};

/** The string's value where it matters (a key, or escapes that could hide NUL or a lone surrogate); refuses what PROTOCOL.md does. */
const decodeString = (text: string, start: number, end: number, stack: Frame[], isKey: boolean): string => {
  const raw = text.slice(start + 1, end);
  if (!raw.includes('\\')) return raw;
  let value: string;
  try {
    value = JSON.parse(text.slice(start, end + 1)) as string;
  } catch (cause) {
    throw new AgentGateError('MALFORMED', 'body: not JSON', { cause });
  }
  const where = () => (isKey ? pointerOf(stack.slice(0, -1)) : pointerOf(stack));
  if (value.includes('\0')) throw invalid(where(), 'NUL is not allowed');
  if (!value.isWellFormed()) throw invalid(where(), 'a lone surrogate is not allowed');
  return value;
};
