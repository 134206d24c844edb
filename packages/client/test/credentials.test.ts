import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCredentials } from '../src/credentials.ts';

const creds = (claims: unknown) => {
  const jwt = ['x', Buffer.from(JSON.stringify(claims)).toString('base64url'), 'y'].join('.');
  return `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`;
};
const token = (claims: unknown) => ['eyJ0', Buffer.from(JSON.stringify(claims)).toString('base64url'), 'sig'].join('.');
const refused = (message: string) =>
  expect.objectContaining({ name: 'AgentGateClientError', code: 'CREDENTIALS_INVALID', message });

test('takes the name from the user in the credentials', () => {
  const text = creds({ name: 'demo' });
  expect(readCredentials(text)).toEqual({ text, name: 'demo' });
});

test('takes the name from a bearer token', () => {
  const text = token({ name: 'demo' });
  expect(readCredentials(text)).toEqual({ text, name: 'demo' });
});

test.each([
  ['credentials', 'agent-demo.creds', creds({ name: 'demo' })],
  ['a bearer token', 'acme.agent-demo.token', `${token({ name: 'demo' })}\n`],
])('takes a path of %s in place of the text', (_, file, text) => {
  const [dir, before] = [mkdtempSync(join(tmpdir(), 'agentgate-client-')), process.cwd()];
  writeFileSync(join(dir, file), text);
  expect(readCredentials(join(dir, file))).toEqual({ text, name: 'demo' });
  try {
    // Without a folder, a file's name could be taken for a token.
    process.chdir(dir);
    expect(readCredentials(file)).toEqual({ text, name: 'demo' });
  } finally {
    process.chdir(before);
    rmSync(dir, { recursive: true });
  }
});

test.each([
  ['a path where nothing is', '/nowhere/a.creds', 'credentials: /nowhere/a.creds cannot be read'],
  ['a token without a name', token({}), 'credentials: the user in them has no name that AgentGate gives'],
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
