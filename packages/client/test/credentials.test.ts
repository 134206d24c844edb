import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCredentials } from '../src/credentials.ts';

const creds = (claims: unknown) => {
  const jwt = ['x', Buffer.from(JSON.stringify(claims)).toString('base64url'), 'y'].join('.');
  return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`;
};
const refused = (message: string) =>
  expect.objectContaining({ name: 'AgentGateClientError', code: 'CREDENTIALS_INVALID', message });

test('takes the name from the user in the credentials', () => {
  const text = creds({ name: 'demo' });
  expect(readCredentials(text)).toEqual({ text, name: 'demo' });
});

test('takes a path in place of the text', () => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-client-'));
  const text = creds({ name: 'demo' });
  writeFileSync(join(dir, 'a.creds'), text);
  expect(readCredentials(join(dir, 'a.creds'))).toEqual({ text, name: 'demo' });
  rmSync(dir, { recursive: true });
});

test.each([
  ['a path where nothing is', '/nowhere/a.creds', 'credentials: /nowhere/a.creds cannot be read'],
  ['a user without a name', creds({}), 'credentials: the user in them has no name that AgentGate gives'],
  [
    'a name that would be everybody',
    creds({ name: '*' }),
    'credentials: the user in them has no name that AgentGate gives',
  ],
  [
    'a user that is no JSON',
    '-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------',
    'credentials: the user in them cannot be read',
  ],
])('refuses %s', (_, text, message) => {
  expect(() => readCredentials(text)).toThrow(refused(message));
});
