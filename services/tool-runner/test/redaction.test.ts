import { createSecretFinder, spellingsOf } from '@agentgate/runtime';
import { expect, test } from 'vitest';
import { redact } from '../src/redaction.ts';

const secret = 'S3cr"et/+Key ü-0123456789';
const bytes = Buffer.from(secret);

test.each([
  ['itself', secret],
  ['JSON', JSON.stringify(secret)],
  ['JSON within JSON', JSON.stringify(JSON.stringify(secret))],
  ['a URL', encodeURIComponent(secret)],
  ['a form', encodeURIComponent(secret).replaceAll('%20', '+')],
  ['hexadecimal', bytes.toString('hex')],
  ['base64', bytes.toString('base64')],
  ['base64url', bytes.toString('base64url')],
  ['base64 of a header', Buffer.from(`Bearer ${secret}`).toString('base64')],
  ['base64 of user and password', Buffer.from(`user:${secret}!`).toString('base64')],
  ['JSON that escapes slashes', JSON.stringify(secret).replaceAll('/', '\\/')],
  ['JSON in ASCII', JSON.stringify(secret).replace('ü', '\\u00fc')],
  ['a URL with small escapes', encodeURIComponent(secret).replace(/%../g, (c) => c.toLowerCase())],
  ['a whole URL', encodeURI(secret)],
  ['base64url of a longer text', Buffer.from(`xx${secret}yy`).toString('base64url')],
])('takes the secret out of a text that holds it as %s', (_, spelled) => {
  const { value, redacted } = redact({ content: [{ type: 'text', text: `before ${spelled} after` }] }, [secret]);
  const text = JSON.stringify(value);
  expect(redacted).toEqual(['/content/0/text']);
  expect(text).toContain('before ');
  expect(text).toContain('[redacted]');
  for (const spelling of spellingsOf(secret)) expect(text).not.toContain(spelling);
});

test('takes it out of keys, and names where', () => {
  expect(redact({ a: { [`x${secret}`]: 1 } }, [secret])).toEqual({
    value: { a: { 'x[redacted]': 1 } },
    redacted: ['/a'],
  });
});

test('leaves a value without the secret as it is', () => {
  const value = { content: [{ type: 'text', text: 'nothing here', n: 1, b: null }] };
  expect(redact(value, [secret])).toEqual({ value, redacted: [] });
  expect(redact(value, [])).toEqual({ value, redacted: [] });
});

test('takes out every part of a credential, the longer one first', () => {
  const url = 'postgresql://ag_1:pass-word-0123@db.test:5432/x';
  const { value } = redact({ text: `${url} and pass-word-0123` }, ['pass-word-0123', url]);
  expect(value).toEqual({ text: '[redacted] and [redacted]' });
});

test('redacts all and names at most 64 places', () => {
  const { value, redacted } = redact({ a: Array.from({ length: 100 }, () => secret) }, [secret]);
  expect(redacted).toHaveLength(64);
  expect(JSON.stringify(value)).not.toContain('S3cr');
});

const every = (write: (c: string) => string) => [...secret].map(write).join('');
const code = (c: string) => c.charCodeAt(0);
const wrapped = (text: string, at: number) => text.replace(new RegExp(`.{${at}}`, 'g'), '$&\n');

test.each([
  ['in JSON that escapes every character', every((c) => `\\u${code(c).toString(16).padStart(4, '0')}`)],
  ['in a language of \\x', every((c) => `\\x${code(c).toString(16).padStart(2, '0')}`)],
  ['in HTML', every((c) => `&#${code(c)};`)],
  ['in HTML with names', secret.replaceAll('"', '&quot;')],
  ['in JSON that escapes for HTML', secret.replaceAll('"', '\\u0022')],
  ['in a URL that escapes some of it', secret.replace('e', '%65').replace('+', '%2b').replaceAll(' ', '+')],
  ['in a URL within a URL', encodeURIComponent(encodeURIComponent(secret))],
  ['in JSON within JSON within a URL', encodeURIComponent(JSON.stringify(JSON.stringify(secret)))],
  ['folded', wrapped(secret, 7)],
  ['in base64 broken into lines', wrapped(Buffer.from(`user:${secret}`).toString('base64'), 9)],
  ['in base64 with lines of JSON', wrapped(bytes.toString('base64'), 9).replaceAll('\n', '\\r\\n')],
  ['in base64 within a URL', encodeURIComponent(bytes.toString('base64'))],
  [
    'in groups of hexadecimal',
    bytes
      .toString('hex')
      .toUpperCase()
      .replace(/..(?!$)/g, '$&:'),
  ],
  ['as a list of bytes', [...bytes].map((b) => `0x${b.toString(16).padStart(2, '0')}`).join(', ')],
])('takes out the whole text that says the secret %s', (_, spelled) => {
  const result = { content: [{ type: 'text', text: `before ${spelled} after` }] };
  const { value, redacted } = redact(result, [secret]);
  expect(redacted).toEqual(['/content/0/text']);
  const [{ text } = { text: '' }] = value.content;
  expect(text === '[redacted]' || !createSecretFinder([secret])(text)).toBe(true);
  for (const part of ['S3cr', 'c3Vj', 'UzNjc', '533363', '0x53']) expect(text).not.toContain(part);
});

test('leaves escapes, base64 and hexadecimal of other things as they are', () => {
  const other = 'another text of some length, ü';
  const texts = [
    encodeURIComponent(other),
    JSON.stringify(JSON.stringify(other)),
    Buffer.from(other).toString('base64'),
    Buffer.from(other).toString('hex'),
    '100 % of 5 & 6 \\ %zz %E0%80 &#99999999; \\u{ffffff}',
  ];
  expect(redact({ texts }, [secret])).toEqual({ value: { texts }, redacted: [] });
});
