import { describe, expect, test } from 'vitest';
import { createDlpScan } from '../../src/scan/dlp.ts';

const secret = 'tr0ub4dor&3+/zebra';
const scan = createDlpScan([{ name: 'crm', bytes: Buffer.from(secret) }]);
const kinds = (args: Record<string, unknown>) => scan(args).map(({ pointer, kind, name }) => [pointer, kind, name]);
const inBody = ['/body', 'secret', 'crm'];

describe('a configured secret is found', () => {
  const hidden = [...secret].join('\u200b');
  test.each<[string, string]>([
    ['as it is', `the key is ${secret}.`],
    ['in base64', Buffer.from(secret).toString('base64')],
    ['in base64 behind one byte', Buffer.from(`x${secret}y`).toString('base64')],
    ['in base64 behind two bytes', Buffer.from(`xx${secret}yy`).toString('base64')],
    ['in base64 for URLs', Buffer.from(secret).toString('base64url')],
    [
      'in base64 broken into lines',
      Buffer.from(secret)
        .toString('base64')
        .replace(/(.{8})/g, '$1\n'),
    ],
    ['behind much other base64', 'QUJDREVGR0hJSktMTU5P\n'.repeat(2_000) + Buffer.from(secret).toString('base64')],
    ['in hex', Buffer.from(secret).toString('hex').toUpperCase()],
    ['percent-encoded', encodeURIComponent(secret)],
    ['percent-encoded byte by byte', [...Buffer.from(secret)].map((byte) => `%${byte.toString(16)}`).join('')],
    ['with invisible characters', hidden],
    ['with white space between', [...secret].join(' ')],
    ['in full-width letters', [...secret].map((c) => String.fromCodePoint((c.codePointAt(0) ?? 0) + 0xfee0)).join('')],
  ])('%s', (_, body) => expect(kinds({ body })).toContainEqual(inBody));

  test('in JSON within a text', () => {
    const quoted = createDlpScan([{ name: 'q', bytes: Buffer.from('a"b\\c"d-secret') }]);
    expect(quoted({ body: JSON.stringify({ note: 'a"b\\c"d-secret' }) })).toMatchObject([{ name: 'q' }]);
  });
  test('in a nested argument, in a list and in a key', () => {
    expect(kinds({ a: { b: ['x', secret] } })).toEqual([['/a/b/1', 'secret', 'crm']]);
    expect(kinds({ [secret]: 1 })).toEqual([[`/${secret.replace('/', '~1')}`, 'secret', 'crm']]);
  });
  test('split over arguments', () =>
    expect(kinds({ a: secret.slice(0, 7), b: secret.slice(7) })).toEqual([['', 'secret', 'crm']]));
  test('and never told', () => expect(JSON.stringify(scan({ body: secret }))).not.toContain(secret));
  test('and another one is not', () => expect(kinds({ body: 'tr0ub4dor&4' })).toEqual([]));
});

describe('keys by their shape', () => {
  const pem = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl';
  test.each<[string, string]>([
    ['pem', pem],
    ['pem', Buffer.from(pem).toString('base64')],
    ['aws access key', 'id AKIAIOSFODNN7EXAMPLE.'],
    ['github token', `ghp_${'a1B2'.repeat(9)}`],
    ['slack token', ['xoxb', '123456789012', 'abcdefghijkl'].join('-')],
    ['nkey seed', `S${'U'}${'A2'.repeat(28)}`],
  ])('%s', (name, body) => expect(kinds({ body })).toEqual([['/body', 'private_key', name]]));
  test('one that is split over arguments', () =>
    expect(kinds({ a: '-----BEGIN PRIV', b: 'ATE KEY-----' })).toEqual([['', 'private_key', 'pem']]));
  test.each(['-----BEGIN PUBLIC KEY-----', '-----BEGIN CERTIFICATE-----', 'ghp_short', 'AKIA is a prefix'])(
    'not %s',
    (body) => expect(kinds({ body })).toEqual([]),
  );
});

describe('card numbers', () => {
  test.each([
    '4111111111111111',
    'card 4111 1111 1111 1111, please',
    '5555-5555-5555-4444',
    '3782 822463 10005',
    '4111\u200b1111\u200b1111\u200b1111',
    'NDExMTExMTExMTExMTExMQ==',
    '%34%31%31%31%31%31%31%31%31%31%31%31%31%31%31%31',
  ])('are found in %s', (body) => expect(kinds({ body })).toEqual([['/body', 'card', 'card number']]));
  test('are found as a number', () =>
    expect(kinds({ n: 4_111_111_111_111_111 })).toEqual([['/n', 'card', 'card number']]));
  test.each([
    ['fails the check digit', '4111111111111112'],
    ['is part of a longer number', '41111111111111110000'],
    ['has no issuer', '1234567812345670'],
    ['is an IBAN', 'DE89 3704 0044 0532 0130 00'],
    ['is a time', '2024-05-15 10:00:00.123456'],
    ['is an order number', 'order 1000-2000-3000'],
  ])('are not found in what %s', (_, body) => expect(kinds({ body })).toEqual([]));
});

// A pattern that backtracks would not come back within the test's time.
test('the longest message is read, whatever it holds', () => {
  for (const piece of ['4', '4 ', '-', 'A', '%41', 'a1', '-----BEGIN ', 'ＡＢ', '{"a":'])
    expect(scan({ body: piece.repeat(Math.floor(262_144 / Buffer.byteLength(piece))) }).length).toBeLessThan(33);
});
