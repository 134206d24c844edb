import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import * as contracts from '../src/index.ts';

const { takesAsIs } = contracts;
type Schema = z.core.$ZodTypes;
type Schemas = Map<z.ZodType, string>;

/** Every schema of the contracts, and every one inside of it. */
const everySchema = (): [string, z.ZodType][] => {
  const found: Schemas = new Map();
  for (const [name, value] of Object.entries(contracts)) gather(value, name, found);
  return [...found].map(([schema, name]) => [name, schema]);
};

const isSchema = (value: object): value is z.ZodType => '_zod' in value;

const gather = (value: unknown, name: string, found: Schemas): void => {
  if (typeof value !== 'object' || value === null || found.has(value as z.ZodType)) return;
  if (!isSchema(value)) {
    if (name.split('/').length < 4)
      for (const [key, member] of Object.entries(value)) gather(member, `${name}/${key}`, found);
    return;
  }
  found.set(value, name);
  const {
    shape,
    options = [],
    getter,
    ...def
  } = value._zod.def as unknown as Record<string, unknown> & {
    shape?: object;
    options?: unknown[];
    getter?: () => unknown;
  };
  const inner = ['innerType', 'element', 'keyType', 'valueType', 'in', 'out', 'left', 'right'].map((key) => def[key]);
  for (const part of [...inner, ...options, getter?.()]) gather(part, name, found);
  for (const [key, field] of Object.entries(shape ?? {})) gather(field, `${name}/${key}`, found);
};

type Random = (below: number) => number;
const createRandom = (seed: number): Random => {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};
const pick = <T>(from: readonly T[], random: Random): T => from[random(from.length)] as T;

const ids = ['ses', 'call', 'prm', 'evt', 'apr', 'lse', 'exc'].map((prefix) => `${prefix}_${'0123456789'.repeat(2)}`);
const texts = [
  ...['', '*', '/a', 'demo', 'fs/read', 'OK', 'a b', 'a\n', '\ud800', '\u{1F600}', '__proto__', 'constructor'],
  ...['2026-01-01T00:00:00.000Z', 'https://a.example/', 'nats://a.example', '0123456789abcdef', 'ab'.repeat(32)],
];
const json = () => [null, true, 0, -0, 1.5, -1, 2 ** 53, '', [], {}, { v: 1 }, JSON.parse('{"__proto__":{"v":1}}')];
const moreKeys = ['more', '', '0', '__proto__', 'constructor', 'toString', 'hasOwnProperty'];

const judge = (schema: z.ZodType, value: unknown) => {
  try {
    return schema.safeParse(value);
  } catch {
    // A refinement of the configuration's that wants a text in form.
    return undefined;
  }
};

const takenTexts = new WeakMap<z.ZodType, string[]>();
const textsOf = (schema: z.ZodType): string[] => {
  const known = takenTexts.get(schema) ?? [...ids, ...texts].filter((text) => judge(schema, text)?.success);
  takenTexts.set(schema, known);
  return known;
};

const put = (object: object, key: string, value: unknown): void =>
  // As JSON.parse does it, for which `__proto__` is a name as all are.
  void Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });

/** Something like what the schema takes, mostly: at its bounds, just beyond them, of code points that take two units each. */
const like = (schema: z.ZodType, random: Random): unknown => {
  const def = (schema as unknown as Schema)._zod.def;
  const bounds = (def.checks ?? []).map(
    (check) => check._zod.def as { maximum?: number; minimum?: number; value?: unknown },
  );
  const next = (inner: unknown) => like(inner as z.ZodType, random);
  switch (def.type) {
    case 'string': {
      const known = textsOf(schema);
      const length = pick([...bounds.flatMap(({ maximum, minimum }) => maximum ?? minimum ?? []), 1], random);
      if (length > 9_000 || random(4) > 0) return pick(known.length > 0 && random(4) > 0 ? known : texts, random);
      return pick(['a', '0', '\u{1F600}', '/'], random).repeat(Math.max(0, length - 1 + random(3)));
    }
    case 'number': {
      const bound = pick([...bounds.map(({ value }) => value), 1], random);
      return typeof bound === 'number'
        ? pick([bound, bound, bound + 1, bound - 1, bound + 0.5, -0, 2 ** 53], random)
        : 0;
    }
    case 'boolean':
      return random(2) === 0;
    case 'literal':
      return pick(def.values, random);
    case 'enum':
      return pick(Object.values(def.entries), random);
    case 'optional':
    case 'default':
    case 'nullable':
    case 'readonly':
      return next(def.innerType);
    case 'array':
      return Array.from({ length: random(3) }, () => next(def.element));
    case 'object': {
      const object = {};
      for (const [key, field] of Object.entries(def.shape))
        if (random(2) > 0 || !['optional', 'default'].includes((field as unknown as Schema)._zod.def.type))
          put(object, key, next(field));
      return object;
    }
    case 'record': {
      const object = {};
      for (let i = random(3); i > 0; i--) put(object, String(next(def.keyType)), next(def.valueType));
      return object;
    }
    case 'union':
      return next(pick(def.options, random));
    case 'lazy':
      return random(4) > 0 ? next(def.getter()) : null;
    case 'pipe':
      return next(def.in);
    default:
      return pick(json(), random);
  }
};

/** The value with one place in it replaced, taken out, or given one more member. */
const changed = (value: unknown, random: Random): unknown => {
  if (typeof value !== 'object' || value === null || random(8) === 0) return pick(json(), random);
  const key = pick(Object.keys(value), random) as string | undefined;
  const what = random(7);
  if (what > 2 && key !== undefined) put(value, key, changed((value as Record<string, unknown>)[key], random));
  else if (Array.isArray(value)) value.push(pick(json(), random));
  else if (what === 0 && key !== undefined) delete (value as Record<string, unknown>)[key];
  else put(value, pick(moreKeys, random), pick(json(), random));
  return value;
};

test('no schema of ours takes a value as it is that zod refuses, or would give another for', () => {
  const random = createRandom(20);
  const schemas = everySchema();
  let taken = 0;
  for (const [name, schema] of schemas) {
    const isTaken = takesAsIs(schema);
    for (let i = 0; i < 40; i++) {
      let value = like(schema, random);
      for (let changes = random(3); changes > 0; changes--) value = changed(value, random);
      if (!isTaken(value)) continue;
      taken++;
      const judged = judge(schema, value);
      if (!judged?.success || !isDeepStrictEqual(judged.data, value))
        expect.fail(`${name} took ${JSON.stringify(value)?.slice(0, 500)}`);
    }
  }
  expect(schemas.length).toBeGreaterThan(1_000);
  expect(taken).toBeGreaterThan(10_000);
});
