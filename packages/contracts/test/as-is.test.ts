import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  batchAnswer,
  batchAsk,
  callAsk,
  createParser,
  decideAnswer,
  decideAsk,
  executeAnswer,
  executeAsk,
  killCheck,
  takesAsIs,
  toolCallAnswer,
} from '../src/index.ts';

const digest = 'ab'.repeat(32);
const policy = { digest, revision: 'r1' };
const who = { tenant: 'default', agent: 'demo', session: 'ses_0123456789', tool: 'fs/read' };
const theCall = { ...who, call: 'call_0123456789', arguments: { path: '/a', deep: [{ b: null }] }, deadline: 1 };
const obligations = {
  credential: { name: 'crm', ttl_s: 60 },
  rate_limits: [{ key: 'a', limit: 0, window_s: 1 }],
  redact: { arguments: ['/a'] },
  taint: ['x'],
  evidence: 'redacted',
  witnessed: true,
};
const seal = { keyid: 'k', root: digest, index: 0, size: 1, path: ['a'], sig: 's' };
const claims = {
  ...who,
  call: 'call_0123456789',
  call_digest: digest,
  deadline: 1,
  expires_at: 1,
  id: 'prm_0123456789',
  issued_at: 1,
  obligations,
  policy,
  schema_digest: digest,
  v: 1,
};
const decision = { action: 'allow', code: 'OK', obligations, reason: 'granted', rule: 'g' };
const ran = { outcome: 'ok', code: 'OK', reason: '', result: { content: [] }, duration_ms: 0.5, redacted: ['/a'] };

/** Messages of the call path, each of a form that is to be taken without zod. */
const messages: [string, z.ZodType, unknown][] = [
  ['callAsk', callAsk, { v: 1, session: who.session, tool: who.tool, arguments: {}, key: 'k', timeout_ms: 1 }],
  ['decideAsk', decideAsk, theCall],
  ['decideAnswer', decideAnswer, { decision, policy, permit: { claims, seal }, observe: true }],
  ['killAnswer', killCheck.answer, { epoch: 0 }],
  ['executeAsk', executeAsk, { ...theCall, permit: { claims, seal }, epoch: 7 }],
  ['executeAnswer', executeAnswer, ran],
  ['toolCallAnswer', toolCallAnswer, { status: 'ok', result: {} }],
  ['batchAsk', batchAsk, { v: 1, items: [{ n: 0, ask: 1 }] }],
  [
    'batchAnswer',
    batchAnswer,
    {
      v: 1,
      items: [
        { n: 0, answer: null },
        { n: 1, error: { code: 'OK', reason: '' } },
      ],
    },
  ],
];

const odd: unknown[] = [
  null,
  true,
  '',
  'x'.repeat(3_000),
  '*',
  'A b',
  0,
  -1,
  1.5,
  2 ** 53,
  1e300,
  -0,
  [],
  {},
  [0],
  { v: 1 },
];

describe('a message of the call path', () => {
  test.each(messages)('%s in form is taken as it is, and is what zod gives', (_, schema, message) => {
    expect(takesAsIs(schema)(message)).toBe(true);
    expect(schema.parse(message)).toEqual(message);
    expect(createParser(schema)(message)).toBe(message);
  });

  test.each(messages)(
    '%s is never taken where zod refuses it or gives another, whatever was changed in it',
    (_, schema, message) => {
      const isTaken = takesAsIs(schema);
      const random = createRandom(7);
      let refused = 0;
      for (let i = 0; i < 4_000; i++) {
        const changed = change(JSON.parse(JSON.stringify(message)), random);
        const judged = schema.safeParse(changed);
        if (!judged.success) refused++;
        if (isTaken(changed) && !(judged.success && isDeepStrictEqual(judged.data, changed)))
          expect.fail(`took ${JSON.stringify(changed)}`);
      }
      expect(refused).toBeGreaterThan(100);
    },
  );
});

describe('a schema that does more than to check', () => {
  test.each<[string, z.ZodType, unknown]>([
    ['fills in', z.strictObject({ a: z.string().default('x') }), { a: 'y' }],
    ['changes', z.string().trim(), 'y'],
    ['transforms', z.string().transform(Number), '1'],
    ['coerces', z.coerce.string(), 'y'],
    ['refines a text', z.string().refine((text) => text !== 'y'), 'y'],
    ['refines an object', z.strictObject({ a: z.string() }).refine(() => false), { a: 'y' }],
    ['looks with a pattern that remembers', z.string().regex(/y/g), 'y'],
    ['bounds without its end', z.number().gt(1), 2],
    ['has keys of a form', z.record(z.string().max(1), z.unknown()), { ab: 1 }],
    ['is a union', z.union([z.string(), z.number()]), 'y'],
    ['counts two units of a text as one character', z.string().min(2), '\u{1F600}'],
    ['fills in what is not there', z.string().default('x').optional(), undefined],
    ['names a field as every object has one', z.strictObject({ toString: z.unknown() }), { more: 1 }],
  ])('is left to zod where it %s', (_, schema, value) => {
    expect(takesAsIs(schema)(value)).toBe(false);
  });

  test.each<[string, z.ZodType, unknown]>([
    ['an unknown field', z.object({ a: z.string() }), { a: 'y', b: 1 }],
    ['a field that is there and undefined', z.object({ a: z.string().optional() }), { a: undefined }],
    ['a missing field of any kind', z.object({ a: z.unknown() }), {}],
    ['a member named __proto__', z.record(z.string(), z.unknown()), JSON.parse('{"__proto__":{}}')],
  ])('is left to zod for %s', (_, schema, value) => {
    expect(takesAsIs(schema)(value)).toBe(false);
  });
});

test('a value that is not in form is refused with FIELD_INVALID, naming the field', () => {
  expect(() => createParser(callAsk)({ v: 1, session: 'ses_0123456789', tool: 'x', arguments: {} })).toThrow(
    expect.objectContaining({ code: 'FIELD_INVALID', message: '/tool: must be <server>/<tool>' }),
  );
});

type Random = (below: number) => number;
const createRandom = (seed: number): Random => {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
};

/** The value with one place in it replaced, taken out, or given one more member. */
const change = (value: unknown, random: Random): unknown => {
  if (typeof value !== 'object' || value === null || random(6) === 0) return odd[random(odd.length)];
  const members = value as Record<string, unknown>;
  const keys = Object.keys(members);
  const key = keys[random(keys.length || 1)] ?? '0';
  const what = random(8);
  if (what > 1) members[key] = change(members[key], random);
  else if (Array.isArray(value)) value.splice(random(2), what, odd[random(odd.length)]);
  else if (what === 0) delete members[key];
  else {
    const more = ['more', '__proto__', 'constructor', '0'][random(4)] as string;
    // As JSON.parse does it, for which this name is one as all are.
    Object.defineProperty(members, more, { value: odd[random(odd.length)], enumerable: true, configurable: true });
  }
  return value;
};
