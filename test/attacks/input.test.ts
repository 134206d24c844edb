import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent } from '../parties.ts';
import { redisCommand } from '../redis-command.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let demo: Agent;
let session: string;
let pids: Record<string, number>;
let starts: number;

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  session = await demo.open();
  expect((await demo.call(session, 'probe/echo', { text: 'before' })).status).toBe('ok');
  pids = stack.pids();
  starts = stack.probe.starts();
});
afterAll(() => stack?.stop());

/** A call that would run, with parts of its text replaced or put in. */
const callText = (more = '', args = '{"text":"attack"}', tool = 'probe/echo') =>
  `{"v":1,"session":"${session}","tool":"${tool}","arguments":${args}${more}}`;
const deep = (levels: number, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);
const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'utf8') : Buffer.from(part))));
/** A body where `\u`-escapes are wanted as such, not as what they stand for. */
const withEscape = (sequence: string) => callText('', `{"text":"a${sequence}b"}`);

/** A body, and what the reason must name. */
type Case = [what: string, body: () => string | Uint8Array, names: RegExp];

const malformed: Case[] = [
  ['nothing', () => '', /body/],
  ['no JSON', () => 'hello', /body/],
  ['half a JSON', () => callText().slice(0, -3), /body/],
  ['two JSON texts', () => callText() + callText(), /body/],
  ['an array', () => '[]', /body/],
  ['a string', () => '"call"', /body/],
  ['null', () => 'null', /body/],
  ['a number', () => '1', /body/],
  ['bytes that are no UTF-8', () => bytes('{"v":1,"tool":"', [0xff, 0xfe, 0xc0], '"}'), /body/],
  ['UTF-16', () => Buffer.from(callText(), 'utf16le'), /body/],
  ['a byte order mark', () => bytes([0xef, 0xbb, 0xbf], callText()), /body/],
  ['a comment', () => `/* hello */ ${callText()}`, /body/],
  ['single quotes', () => callText().replaceAll('"', "'"), /body/],
  ['NaN', () => callText('', '{"text":"attack","ms":NaN}'), /body/],
  ['1 MiB', () => callText('', `{"text":"${'a'.repeat(1024 * 1024)}"}`), /body.*262144/],
  [
    'one byte more than 256 KiB',
    () => callText('', '{"text":""}').replace('""', `"${'a'.repeat(262_145 - callText('', '{"text":""}').length)}"`),
    /body/,
  ],
  ['a NUL byte in a string', () => bytes(callText('', '{"text":"a'), [0], 'b"}}'), /body|text/],
];

const fields: Case[] = [
  ['a duplicate key', () => '{"v":1,"v":1}', /\/v: duplicate/],
  ['a duplicate tool', () => callText(',"tool":"probe/danger"'), /\/tool: duplicate/],
  ['a duplicate argument', () => callText('', '{"text":"a","text":"b"}'), /\/arguments\/text: duplicate/],
  [
    'a duplicate key in another spelling',
    () => callText('', '{"text":"a","\\u0074ext":"b"}'),
    /\/arguments\/text: duplicate/,
  ],
  ['depth 1,000 of arrays', () => callText('', `{"text":${deep(1000)}}`), /\/arguments\/text.*levels/],
  [
    'depth 1,000 of objects',
    () => callText('', `{"text":${deep(1000, '{"a":', '}').replace(':}', ':1}')}}`),
    /\/arguments\/text.*levels/,
  ],
  ['depth 33', () => callText('', `{"text":"a","tag":${deep(32)}}`), /levels/],
  ['100,000 opened brackets', () => callText('', `{"text":${'['.repeat(100_000)}`), /levels/],
  ['__proto__', () => callText('', '{"text":"a","__proto__":{"admin":true}}'), /__proto__/],
  ['__proto__ at the top', () => callText(',"__proto__":{"tool":"probe/danger"}'), /__proto__/],
  ['an escaped __proto__', () => callText('', '{"text":"a","\\u005f_proto__":1}'), /__proto__/],
  ['an escaped NUL', () => withEscape('\\u0000'), /\/arguments\/text: NUL/],
  ['a lone high surrogate', () => withEscape('\\ud800'), /\/arguments\/text: a lone surrogate/],
  ['a lone low surrogate', () => withEscape('\\udc00'), /\/arguments\/text: a lone surrogate/],
  ['a lone surrogate in a key', () => callText('', '{"text":"a","\\udead":1}'), /\/arguments: a lone surrogate/],
  [
    '513 keys',
    () => callText('', `{"text":"a",${Array.from({ length: 512 }, (_, i) => `"k${i}":1`).join(',')}}`),
    /\/arguments: more than 512 keys/,
  ],
  ['a number beyond all numbers', () => callText('', '{"text":"a","ms":1e999}'), /\/arguments\/ms/],
  ['an unknown field', () => callText(',"admin":true'), /\/admin: unknown/],
  ['an identity of its own', () => callText(',"agent":"second"'), /\/agent: unknown/],
  ['a tenant of its own', () => callText(',"tenant":"acme"'), /\/tenant: unknown/],
  ['no version', () => callText().replace('"v":1,', ''), /\/v/],
  ['another version', () => callText().replace('"v":1', '"v":2'), /\/v/],
  ['the version as text', () => callText().replace('"v":1', '"v":"1"'), /\/v/],
  ['no session', () => `{"v":1,"tool":"probe/echo","arguments":{"text":"attack"}}`, /\/session/],
  ['no tool', () => `{"v":1,"session":"${session}","arguments":{}}`, /\/tool/],
  ['no arguments', () => `{"v":1,"session":"${session}","tool":"probe/echo"}`, /\/arguments/],
  ['arguments that are an array', () => callText('', '[]'), /\/arguments/],
  ['arguments that are null', () => callText('', 'null'), /\/arguments/],
  ['a session that is a number', () => callText().replace(`"${session}"`, '7'), /\/session/],
  ['a session that is an object', () => callText().replace(`"${session}"`, '{"$ne":""}'), /\/session/],
  ['session *', () => callText().replace(session, 'ses_*'), /\/session/],
  ...[
    '*',
    'a.b',
    'a.b/echo',
    'probe',
    '/echo',
    'probe/',
    'probe/ec ho',
    '>',
    '../probe/echo',
    'PROBE/echo',
    'probe/\\u0001',
  ].map((tool): Case => [`tool ${tool}`, () => callText('', '{"text":"attack"}', tool), /\/tool/]),
  ['a tool of 10,000 characters', () => callText('', '{}', `probe/${'a'.repeat(10_000)}`), /\/tool/],
  ['a key of 129 characters', () => callText(`,"key":"${'k'.repeat(129)}"`), /\/key/],
  ['an empty key', () => callText(',"key":""'), /\/key/],
  ['a key that is a number', () => callText(',"key":1'), /\/key/],
  ['timeout 0', () => callText(',"timeout_ms":0'), /\/timeout_ms/],
  ['timeout 1.5', () => callText(',"timeout_ms":1.5'), /\/timeout_ms/],
  ['timeout of a year', () => callText(',"timeout_ms":31536000000'), /\/timeout_ms/],
  ['an approval that is none', () => callText(',"approval":"yes"'), /\/approval/],
];

const expectNothingRan = () => expect(stack.probe.starts()).toBe(starts);

describe('a call', () => {
  test.each(malformed)('is invalid MALFORMED with %s', async (_, body, names) => {
    const reply = await demo.ask('call', body());
    expect(reply).toMatchObject({ v: 1, status: 'invalid', reason: expect.stringMatching(names) });
    expect(reply.code).toMatch(/^(MALFORMED|FIELD_INVALID)$/);
    expectNothingRan();
  });

  test.each(fields)('is invalid FIELD_INVALID, and the reason names the field, with %s', async (_, body, names) => {
    const reply = await demo.ask('call', body());
    expect(reply).toMatchObject({
      v: 1,
      status: 'invalid',
      code: 'FIELD_INVALID',
      reason: expect.stringMatching(names),
    });
    expectNothingRan();
  });

  test('is denied with an unknown session, an unknown tool and unknown everything', async () => {
    const wrong = [
      ['ses_00000000000000000000', 'probe/echo'],
      [session, 'probe/constructor'],
      [session, 'probe/*'],
      [session, 'constructor/toString'],
      [session, 'probe/../../etc/passwd'],
    ] as const;
    for (const [at, tool] of wrong) {
      const reply = await demo.call(at, tool, { text: 'attack' });
      expect(reply.status).toBe('denied');
      expect(reply.code).toMatch(/^UNKNOWN_(SESSION|TOOL)$/);
    }
    expectNothingRan();
  });

  test('is denied SESSION_EXPIRED when its session has expired', async () => {
    const old = await demo.open();
    // Sessions live a day: so this one is made old where policy keeps it.
    const url = readFileSync(join(stack.home, 'keys', 'redis', 'policy.url'), 'utf8').trim();
    await redisCommand(url, 'HSET', `ses:${old}`, 'expires_at', String(Date.now() - 1));
    const reply = await demo.call(old, 'probe/echo', { text: 'attack' });
    expect(reply).toMatchObject({ status: 'denied', code: 'SESSION_EXPIRED' });
    expectNothingRan();
  });

  test('still takes what only looks dangerous', async () => {
    const text = 'constructor \u0085 \u2028 \u2029 \ud83d\ude00 <script> $(x) {{name()}} \u007f % \\u0000';
    const reply = await demo.call(session, 'probe/echo', { text, tag: 'looks dangerous' });
    expect(reply).toMatchObject({ status: 'ok', result: { content: [{ text }] } });
    starts = stack.probe.starts();
  });

  test('may be as deep, as wide and as large as the protocol says', async () => {
    // Two levels are the call and its arguments. The tool's schema does not know this argument's type, so it is refused only there.
    const reply = await demo.ask('call', callText('', `{"text":"wide","tag":${deep(30)}}`));
    expect(reply).toMatchObject({ status: 'invalid', reason: expect.stringMatching(/\/tag/) });
    const large = 'a'.repeat(262_144 - Buffer.byteLength(callText('', '{"text":""}')));
    const full = await demo.ask('call', callText('', `{"text":"${large}"}`));
    // The whole of it comes back, which is more than this deployment lets a result be.
    expect(full).toMatchObject({ status: 'tool_error', reason: expect.stringMatching(/65536/) });
    starts = stack.probe.starts();
  });
});

describe('the other verbs', () => {
  test.each([
    ['session', '{"v":1,"purpose":7}', /\/purpose/],
    ['session', '{"v":1,"agent":"second"}', /\/agent/],
    ['session', '', /body/],
    ['session', `{"v":1,"purpose":"a\\u0000"}`, /\/purpose/],
    ['tools', '{"v":1,"session":7}', /\/session/],
    ['tools', '{"v":1,"all":true}', /\/all/],
    ['cancel', '{"v":1}', /./],
    ['cancel', '{"v":1,"call":"call_0123456789ab","key":"k"}', /./],
    ['cancel', '{"v":1,"call":"*"}', /\/call/],
    ['cancel', '{"v":1,"call":["call_0123456789ab"]}', /\/call/],
    ['cancel', '[]', /body/],
  ] as const)('%s is invalid with %j', async (verb, body, names) => {
    const reply = await demo.ask(verb, body);
    expect(reply).toMatchObject({ v: 1, status: 'invalid', reason: expect.stringMatching(names) });
  });

  test('are invalid when too long or too deep', async () => {
    const long = await demo.ask('session', { v: 1, purpose: 'p'.repeat(8193) });
    expect(long).toMatchObject({ status: 'invalid', reason: expect.stringMatching(/\/purpose/) });
    for (const verb of ['session', 'tools', 'cancel'] as const)
      expect(await demo.ask(verb, deep(1000))).toMatchObject({
        status: 'invalid',
        reason: expect.stringMatching(/levels/),
      });
  });

  test('tools is denied with a session that is unknown or of somebody else', async () => {
    const second = await openAgent(stack, 'agent-second');
    expect(await second.ask('tools', { v: 1, session })).toMatchObject({ status: 'denied', code: 'UNKNOWN_SESSION' });
  });
});

// Last in this file: it looks back on all of the above.
test('none of it reached a tool, left evidence of a dispatch, or moved a service', async () => {
  expectNothingRan();
  expect(stack.pids()).toEqual(pids);
  for (const url of Object.values(stack.status.metrics))
    expect((await fetch(new URL('/readyz', url))).status).toBe(200);
  const reply = await demo.call(session, 'probe/echo', { text: 'after' });
  expect(reply.status).toBe('ok');
  const evidence = await readEvidence(stack);
  await evidence.event('call.completed', reply.evidence?.completed);
  expect(evidence.all('evidence.anomaly')).toEqual([]);
  const attacks = evidence.all('call.decided').filter((e) => JSON.stringify(e.data.arguments ?? '').includes('attack'));
  expect(attacks.filter((e) => e.data.decision.action === 'allow')).toEqual([]);
});
