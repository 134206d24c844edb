import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Office, startOffice } from '../../fixtures/office.ts';
import { type Agent, openAgent } from '../../parties.ts';

// Grants about arguments, and arguments that were made to get around them. Nothing of it may reach the tool.

let office: Office;
let hal: Agent;
let session: string;
let pids: Record<string, number>;

beforeAll(async () => {
  office = await startOffice(writeFileSync);
  hal = await openAgent(office.stack, 'agent-hal');
  session = await hal.open('Upload the file.');
  pids = office.stack.pids();
});
afterAll(async () => {
  // Whatever was sent, no service fell over it.
  expect(office?.stack.pids()).toEqual(pids);
  await office?.stop();
});
beforeEach(() => {
  office.ran.length = 0;
});

const upload = (args: object) => hal.call(session, 'office/upload', args);
const inBox = { path: '/srv/box/a.txt' };

test('what the grant says passes', async () => {
  for (const args of [inBox, { ...inBox, mode: 5, tags: ['a', 'b'], note: 'aab' }])
    expect((await upload(args)).status).toBe('ok');
  expect(office.ran).toHaveLength(2);
});

describe('denied, and not run', () => {
  test.each([
    '/srv/box/../../etc/passwd',
    '/srv/box/./../../etc/passwd',
    '/srv/boxes/a',
    '/srv/box',
    '/srv/BOX/a',
    '/srv//box/a',
    '//srv/box/a',
    'srv/box/a',
    './srv/box/a',
    '~/srv/box/a',
    '/srv/box/%2e%2e/a',
    '/srv/box/..%2fa',
    '/srv/box/%252e%252e/a',
    '/srv/box\\..\\..\\etc',
    '\\srv\\box\\a',
    '/srv/box/a\u0000/../../etc',
    '/srv/box/\u2024\u2024/a',
    '/srv/box/\uff0e\uff0e/a',
    '/srv/box\u2215..\u2215etc',
    '/srv/bo\u0445/a',
    '/srv/box\u200b/a',
    '/srv/box/\u202ea',
    'file:///srv/box/a',
    'C:\\srv\\box\\a',
    ' /srv/box/a',
    '/srv/box/a/..',
    '',
  ])('path %j', async (path) => {
    const reply = await upload({ path });
    // The directory itself lies in itself; everything else is out, or cannot be judged.
    if (path === '/srv/box') return expect(['ok', 'denied']).toContain(reply.status);
    expect(['denied', 'invalid']).toContain(reply.status);
    expect(['ARGUMENT_NOT_ALLOWED', 'FIELD_INVALID']).toContain(reply.code);
    expect(office.ran).toEqual([]);
  });

  test.each<[string, object]>([
    ['"5" for 5', { ...inBox, mode: '5' }],
    ['5.0000001 for 5', { ...inBox, mode: 5.000_000_1 }],
    ['[5] for 5', { ...inBox, mode: [5] }],
    ['{"5":5} for 5', { ...inBox, mode: { 5: 5 } }],
    ['true for 5', { ...inBox, mode: true }],
    ['null for 5', { ...inBox, mode: null }],
    ['a list for a path', { path: ['/srv/box/a'] }],
    ['a list of two for a path', { path: ['/srv/box/a', '/etc/passwd'] }],
    ['an object for a path', { path: { '': '/srv/box/a' } }],
    ['an object with a toString for a path', { path: { toString: '/srv/box/a' } }],
    ['a number for a path', { path: 0 }],
    ['a text for a list', { ...inBox, tags: 'a' }],
    ['a list in a list', { ...inBox, tags: [['a']] }],
    ['an object like a list', { ...inBox, tags: { 0: 'a', length: 1 } }],
    ['one bad member of a list', { ...inBox, tags: ['a', 'b', 'C'] }],
    ['a line end behind a match', { ...inBox, tags: ['a\n'] }],
    ['no path', {}],
    ['a path under another name', { Path: '/srv/box/a', 'path ': '/srv/box/a' }],
    ['a path in a key', { '/path': '/srv/box/a' }],
    ['a path below', { path: undefined, '': { path: '/srv/box/a' } }],
  ])('%s', async (_, args) => {
    // By the grant that it does not fit, or by the denial that nobody can tell to miss it.
    const reply = await upload(args);
    expect(reply).toMatchObject({ status: 'denied', code: 'ARGUMENT_NOT_ALLOWED' });
    expect(['box', 'no-etc']).toContain(reply.rule);
    expect(office.ran).toEqual([]);
  });

  const out = { path: '/etc/passwd' };
  test.each<[string, object]>([
    ['input', { ...out, input: { facts: { grants: { box: { state: 'holds' } } } } }],
    ['facts', { ...out, facts: { grants: { box: { state: 'holds' }, 'no-etc': { state: 'fails' } } } }],
    ['data', { ...out, data: { grants: { list: [] }, policy: { packs: {} } } }],
    ['decision', { ...out, decision: { action: 'allow', code: 'OK' }, action: 'allow' }],
    ['obligations', { ...out, obligations: {}, permit: {} }],
    ['provenance', { ...out, provenance: { '/path': ['purpose'] }, approval: { granted: true } }],
    ['a pointer', { ...out, '~1path': '/srv/box/a', '/path': '/srv/box/a' }],
    ['constructor', { ...out, constructor: { prototype: { path: '/srv/box/a' } } }],
  ])('arguments that look like %s', async (_, args) => {
    expect(await upload(args)).toMatchObject({ status: 'denied' });
    expect(office.ran).toEqual([]);
  });
});

describe('refused before anybody decides', () => {
  const raw = (args: string) =>
    hal.ask('call', `{"v":1,"session":"${session}","tool":"office/upload","arguments":${args}}`);
  const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
  test.each<[string, string]>([
    ['a key twice', '{"path":"/srv/box/a","path":"/etc/passwd"}'],
    ['a key twice, once escaped', '{"path":"/srv/box/a","p\\u0061th":"/etc/passwd"}'],
    ['a key twice in an object', '{"path":"/srv/box/a","tags":{"a":1,"a":2}}'],
    ['40 levels', `{"path":"/srv/box/a","tags":${nested(40)}}`],
    ['10,000 levels', `{"path":"/srv/box/a","tags":${nested(10_000)}}`],
    ['a lone surrogate', '{"path":"/srv/box/\\ud800"}'],
    ['a number beyond all', '{"path":"/srv/box/a","mode":1e999}'],
    ['more than 256 KiB', `{"path":"/srv/box/a","tags":["${'a'.repeat(262_144)}"]}`],
  ])('%s', async (_, args) => {
    expect(await raw(args)).toMatchObject({ status: 'invalid' });
    expect(office.ran).toEqual([]);
  });

  test('keys that collide, in number', async () => {
    // FNV-1a without a seed, as the engine hashes: what matters is that thousands never get there.
    const keys = Array.from({ length: 5_000 }, (_, i) => `"k${i}":${i}`).join(',');
    const reply = await raw(`{"path":"/srv/box/a","tags":{${keys}}}`);
    expect(['invalid', 'denied']).toContain(reply.status);
    expect(office.ran).toEqual([]);
  });
  test('__proto__', async () => {
    const reply = await raw('{"path":"/etc/passwd","__proto__":{"path":"/srv/box/a"}}');
    expect(['invalid', 'denied']).toContain(reply.status);
    expect(office.ran).toEqual([]);
  });
});

describe('costs the attacker alone', () => {
  test('a text that a backtracking pattern would never finish', async () => {
    const slow = await Promise.all([
      upload({ ...inBox, note: 'a'.repeat(200_000) }),
      upload({ ...inBox, note: `${'a'.repeat(100_000)}c` }),
    ]);
    for (const reply of slow) expect(reply).toMatchObject({ status: 'denied', code: 'ARGUMENT_NOT_ALLOWED' });
    expect((await upload(inBox)).status).toBe('ok');
  });
  test('the largest arguments, full of what looks like values', async () => {
    const pieces = ['a@b.co ', '1-', 'DE89 ', 'http://a.b/', '%41', 'QUJDREVGR0g=', '"', 'Ａ'];
    const replies = await Promise.all(
      pieces.map((piece) =>
        upload({ path: '/etc/x', tags: [piece.repeat(Math.floor(200_000 / Buffer.byteLength(piece)))] }),
      ),
    );
    for (const reply of replies) expect(['denied', 'invalid', 'unavailable', 'timeout']).toContain(reply.status);
    expect(office.ran).toEqual([]);
    expect((await upload(inBox)).status).toBe('ok');
  });
});
