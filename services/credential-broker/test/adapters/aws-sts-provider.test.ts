import { readFileSync } from 'node:fs';
import type { CredentialOf, SecretSource } from '@agentgate/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { createAwsStsProvider } from '../../src/adapters/aws-sts-provider.ts';
import type { LeaseOrder } from '../../src/provider.ts';
import { type Answer, type Asked, everythingOf, rejectionOf, startAnswering } from '../answering-server.ts';

// The bodies have the shapes of https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, its example keys too.
const fixture = (name: string) => readFileSync(new URL(`../fixtures/${name}.xml`, import.meta.url), 'utf8');
const xml = (body: string, status = 200): Answer => ({ status, body, headers: { 'Content-Type': 'text/xml' } });
const assumed = fixture('aws-sts-assume-role');

const secretKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY';
const sessionToken =
  'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi==';
const ownKey = 'the-own-secret-key-of-the-broker';
const at = Date.parse('2019-11-09T13:19:41Z');

const order: LeaseOrder = {
  lease: 'acme/demo/ses_1/call_1/aws-sts/0',
  permit: 'prm_0123456789',
  credential: 'reports',
  scope: undefined,
  tenant: 'acme',
  agent: 'demo',
  session: 'ses_0123456789',
  person: undefined,
  issuedAt: at,
  expiresAt: at + 900_000,
};

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const bench = async (
  answer: Answer | ((asked: Asked) => Answer),
  change: Partial<CredentialOf<'aws-sts'>> = {},
  read: (source: SecretSource) => Promise<string> = async (source) =>
    'env' in source && source.env === 'KEY_ID' ? 'AKIAOWNKEY' : ownKey,
) => {
  const server = await startAnswering((asked) => (typeof answer === 'function' ? answer(asked) : answer));
  open.push(server.close);
  const logged: unknown[] = [];
  const time = { now: at };
  const provider = createAwsStsProvider({
    credential: 'reports',
    config: {
      provider: 'aws-sts',
      region: 'eu-central-1',
      role_arn: 'arn:aws:iam::123456789012:role/demo',
      access: { key_id: { env: 'KEY_ID' }, secret_key: { env: 'SECRET_KEY' } },
      endpoint: server.url,
      ttl_s: 900,
      reuse: 'call',
      max_leases: 10,
      ...change,
    },
    read,
    now: () => time.now,
    log: { warn: (fields, message) => void logged.push({ ...fields, message }) },
  });
  open.push(provider.close);
  return { provider, server, logged, time };
};

const formOf = (asked: Asked | undefined) => Object.fromEntries(new URLSearchParams(asked?.body));
const unavailable = (message: RegExp) =>
  expect.objectContaining({ code: 'CREDENTIAL_UNAVAILABLE', message: expect.stringMatching(message) });

const policy = {
  Version: '2012-10-17' as const,
  Statement: [
    {
      Effect: 'Allow',
      Action: ['s3:GetObject'],
      Resource: ['arn:aws:s3:::reports/{tenant}/{agent}/*'],
      Condition: { StringEquals: { 's3:prefix': '{session}' } },
    },
  ],
};

describe('mint', () => {
  test('assumes the role for the agent and gives the session', async () => {
    const { provider, server } = await bench(xml(assumed), { external_id: 'a-shared-id', session_policy: policy });
    expect(await provider.mint(order)).toEqual({
      parts: {
        secret: secretKey,
        secret_key: secretKey,
        key_id: 'ASIAIOSFODNN7EXAMPLE',
        session_token: sessionToken,
        region: 'eu-central-1',
      },
      hidden: ['secret', 'secret_key', 'session_token'],
      expiresAt: Date.parse('2019-11-09T13:34:41Z'),
    });
    const [asked] = server.asked;
    expect(server.asked).toHaveLength(1);
    expect(asked).toMatchObject({ method: 'POST', path: '/' });
    const { Policy, ...form } = formOf(asked);
    expect(form).toEqual({
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: 'arn:aws:iam::123456789012:role/demo',
      RoleSessionName: 'demo',
      DurationSeconds: '900',
      ExternalId: 'a-shared-id',
    });
    expect(JSON.parse(Policy ?? '')).toEqual({
      ...policy,
      Statement: [
        {
          ...policy.Statement[0],
          Resource: ['arn:aws:s3:::reports/acme/demo/*'],
          Condition: { StringEquals: { 's3:prefix': 'ses_0123456789' } },
        },
      ],
    });
    expect(asked?.headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAOWNKEY\/\d{8}\/eu-central-1\/sts\/aws4_request, /,
    );
    expect(JSON.stringify(asked)).not.toContain(ownKey);
  });

  test('asks for as long as the lease is to live, but not for less than AWS gives', async () => {
    const { provider, server } = await bench(xml(assumed));
    for (const seconds of [60, 899.5, 1800.2]) await provider.mint({ ...order, expiresAt: at + seconds * 1000 });
    expect(server.asked.map((asked) => formOf(asked).DurationSeconds)).toEqual(['900', '900', '1801']);
  });

  test('warns where nothing narrows the role, and sends no policy', async () => {
    const { provider, server, logged } = await bench(xml(assumed));
    await provider.mint(order);
    expect(Object.keys(formOf(server.asked[0]))).not.toContain('Policy');
    expect(logged).toEqual([
      { credential: 'reports', message: expect.stringMatching(/^no session_policy narrows this credential/) },
    ]);
    expect((await bench(xml(assumed), { session_policy: policy })).logged).toEqual([]);
  });

  test('does not let a name widen the policy', async () => {
    const { provider, server } = await bench(xml(assumed), { session_policy: policy });
    for (const tenant of ['*', 'a/../b', '","Action":"*', `\${aws:username}`])
      await expect(provider.mint({ ...order, tenant })).rejects.toEqual(unavailable(/cannot be made for this tenant/));
    const ofPerson = await bench(xml(assumed), {
      session_policy: { Version: '2012-10-17', Statement: [{ Resource: '{person}' }] },
    });
    await expect(ofPerson.provider.mint(order)).rejects.toEqual(unavailable(/needs a session that names a person/));
    expect([...server.asked, ...ofPerson.server.asked]).toEqual([]);
  });

  test('refuses a policy that AWS would not take, before it asks', async () => {
    const { provider, server } = await bench(xml(assumed), {
      session_policy: { Version: '2012-10-17', Statement: ['x'.repeat(2048)] },
    });
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/session policy of more than 2048 characters$/));
    expect(server.asked).toEqual([]);
  });

  test('names the session after the agent in the characters that AWS takes', async () => {
    const { provider, server } = await bench(xml(assumed));
    for (const agent of ['a', 'my_agent-2', 'x'.repeat(64)]) await provider.mint({ ...order, agent });
    expect(server.asked.map((asked) => formOf(asked).RoleSessionName)).toEqual(['a@', 'my_agent-2', 'x'.repeat(64)]);
    for (const agent of ['x'.repeat(65), 'an agent', 'ünder', 'a/b', ''])
      await expect(provider.mint({ ...order, agent })).rejects.toEqual(unavailable(/cannot be made for this agent/));
  });

  test('reads the key of the broker at each mint', async () => {
    const ids = ['AKIAONE', 'AKIATWO'];
    const { provider, server } = await bench(xml(assumed), {}, async (source) =>
      'env' in source && source.env === 'KEY_ID' ? (ids.shift() ?? '') : ownKey,
    );
    await provider.mint(order);
    await provider.mint(order);
    expect(server.asked.map(({ headers }) => /Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1])).toEqual([
      'AKIAONE',
      'AKIATWO',
    ]);
  });
});

describe('what AWS may answer instead', () => {
  const cut = assumed.slice(0, assumed.indexOf('</SessionToken>'));
  const cases: [string, Answer, RegExp][] = [
    ['access denied', xml(fixture('aws-sts-access-denied'), 403), /is refused by AWS \(HTTP 403\)$/],
    ['a malformed policy', xml(fixture('aws-sts-malformed-policy'), 400), /is refused by AWS \(HTTP 400\)$/],
    ['not available', xml(`<html>${secretKey}</html>`, 503), /AWS STS is not available \(HTTP 503\)$/],
    ['half of an answer', xml(cut), /does not answer as it should$/],
    ['no XML', xml(`{"SecretAccessKey":"${secretKey}"}`), /does not answer as it should$/],
    [
      'a session without a token',
      xml(assumed.replace(/<SessionToken>.*<\/SessionToken>/, '')),
      /another form from AWS$/,
    ],
    ['a session without an end', xml(assumed.replace(/<Expiration>.*<\/Expiration>/, '')), /another form from AWS$/],
    [
      'a session whose end is no time',
      xml(assumed.replace(/2019-11-09T13:34:41Z/, 'soon')),
      /does not answer as it should$/,
    ],
    ['too much', xml(`${assumed}<!--${'x'.repeat(64 * 1024)}-->`), /got an answer of more than 65536 bytes from AWS$/],
    [
      'a redirect',
      { status: 302, headers: { Location: 'http://127.0.0.1:9/' } },
      /from AWS that does not help \(HTTP 302\)$/,
    ],
    ['something that is no HTTP', 'garbage', /AWS STS cannot be reached/],
    ['nothing: it hangs up', 'hang up', /AWS STS cannot be reached/],
  ];
  test.each(cases)('%s', async (_, answer, message) => {
    const { provider, server } = await bench(answer);
    const error = await rejectionOf(provider.mint(order));
    expect(error).toEqual(unavailable(message));
    expect((error as Error).message).toMatch(/^credential reports /);
    for (const secret of [secretKey, sessionToken, ownKey, 's3cret-in-garbage', 'not authorized', 'Syntax errors'])
      expect(everythingOf(error)).not.toContain(secret);
    expect(server.asked).toHaveLength(1);
  });

  test.each(['hang', 'drip'] as const)('no end of an answer within 2 s (%s)', async (answer) => {
    const { provider, server } = await bench(answer);
    const began = performance.now();
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/got no answer from AWS within 2000 ms$/));
    expect(performance.now() - began).toBeLessThan(3_500);
    expect(server.asked).toHaveLength(1);
  });

  test('nobody', async () => {
    const { provider, server } = await bench(xml(assumed));
    await server.close();
    await expect(provider.mint(order)).rejects.toEqual(unavailable(/AWS STS cannot be reached/));
  });

  test('the name of the error is left for the log', async () => {
    const { provider } = await bench(xml(fixture('aws-sts-access-denied'), 403));
    expect(await rejectionOf(provider.mint(order))).toMatchObject({ cause: { message: 'AccessDenied' } });
  });

  test('a key that cannot be read or sent is not quoted', async () => {
    for (const read of [async () => 'two\nlines-of-it', () => Promise.reject(new Error('cannot read lines-of-it'))]) {
      const { provider, server } = await bench(xml(assumed), {}, read);
      const error = await rejectionOf(provider.mint(order));
      expect(error).toEqual(unavailable(/^credential reports cannot be asked for: /));
      expect(everythingOf(error)).not.toContain('lines-of-it');
      expect(server.asked).toEqual([]);
    }
  });
});

describe('the end', () => {
  test('revoke succeeds as often as it is asked, and asks nothing: AWS cannot take a session back', async () => {
    const { provider, server } = await bench('hang up');
    for (let i = 0; i < 2; i++) await provider.revoke({ ...order, handle: undefined });
    expect(server.asked).toEqual([]);
  });

  test('probe says that it cannot prove it, and when the session ends at the latest', async () => {
    const { provider, time } = await bench('hang up');
    const lease = { ...order, expiresAt: at + 60_000, handle: undefined };
    expect(await provider.probe(lease)).toEqual({
      state: 'unprovable',
      goodUntil: expect.any(Number),
      detail: 'AWS STS cannot take a session back; this one ends by itself at 2019-11-09T13:34:41.000Z at the latest',
    });
    time.now = at + 3_600_000;
    expect((await provider.probe(lease)).detail).toMatch(/this one ended by itself at 2019-11-09T13:34:41.000Z/);
  });
});
