import { spellingsOf } from '@agentgate/runtime';
import { expect, test } from 'vitest';
import { redact } from '../src/redaction.ts';

const secret = 's3cr"et/+key ü-0123456789';
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
  expect(JSON.stringify(value)).not.toContain('s3cr');
});
