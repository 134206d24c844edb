import { describe, expect, test } from 'vitest';
import { formatted, mapSources, parseConfig, providerKinds, scopeOf, sourcesOf } from '../src/index.ts';

const rules = '{ schema: s, tables: [t], privileges: [select] }';
const examples: Record<(typeof providerKinds)[number], string> = {
  static: '{ provider: static, from: { file: ./a.key } }',
  jwt: '{ provider: jwt, audience: a, scope: read }',
  postgres: `{ provider: postgres, admin: { file: ./pg.url }, rules: [${rules}] }`,
  'redis-acl':
    '{ provider: redis-acl, admin: { env: R }, rules: [{ keys: ["a:*"], commands: [get, "@read", "client|id"] }] }',
  'oauth-token-exchange':
    '{ provider: oauth-token-exchange, issuer: "https://idp.test", client: { id: g, secret: { file: ./c } }, scope: read }',
  'oauth-client-credentials':
    '{ provider: oauth-client-credentials, issuer: "https://idp.test", client: { id: g, secret: { systemd: oauth } } }',
  'nats-user':
    '{ provider: nats-user, servers: "nats://n:4222", account: { file: ./a.nk }, operator: { file: ./o.nk }, system: { file: ./s.creds }, rules: [{ publish: ["a.>"] }] }',
  vault: '{ provider: vault, address: "https://v.test", token: { env: V }, path: database/creds/ro }',
  'aws-sts':
    '{ provider: aws-sts, region: eu-west-1, role_arn: "arn:aws:iam::123456789012:role/r", access: { key_id: { env: A }, secret_key: { env: B } } }',
};
const yaml = (credential: string, server = '', more = '') =>
  `v: 1\ntenants: {}\ncredentials:\n  k: ${credential}\nservers:\n  s:\n    ${server || 'stdio: { command: x }'}\n${more}`;
const parse = (...args: Parameters<typeof yaml>) => parseConfig(yaml(...args), '/srv/gate/agentgate.yaml');
const withInject = (inject: string, how = 'stdio: { command: x }') =>
  `${how}\n    credential: k\n    inject: ${inject}`;

describe('a credential', () => {
  test.each(providerKinds)('of provider %s is read, its files from where the configuration lies', (kind) => {
    const credential = parse(examples[kind]).credentials.k;
    expect(credential?.provider).toBe(kind);
    if (!credential) throw new Error('none');
    for (const source of sourcesOf(credential)) if ('file' in source) expect(source.file).toMatch(/^\/srv\/gate\//);
    expect(sourcesOf(mapSources(credential, () => ({ env: 'X' })))).toEqual(
      sourcesOf(credential).map(() => ({ env: 'X' })),
    );
  });

  test.each([
    ['a secret in the file itself', '{ provider: static, from: s3cret }', /credentials\/k\/from/],
    ['http to another machine', examples.vault.replace('https://v.test', 'http://v.test'), /must be https/],
    ['a user in a URL', examples.vault.replace('https://v.test', 'https://u:p@v.test'), /without a user/],
    ['a path that leads elsewhere', examples.vault.replace('database/creds/ro', '../sys/seal'), /credentials\/k\/path/],
    ['a delete of columns', examples.postgres.replace('[select] }', '[delete], columns: [a] }'), /cannot be narrowed/],
    ['commands that are more than commands', examples['redis-acl'].replace('[get,', '["get +@all",'), /commands\/0/],
    ['a key that is more than a key', examples['redis-acl'].replace('"a:*"', '"a:* ~*"'), /has spaces/],
    ['a subject that is more than a subject', examples['nats-user'].replace('"a.>"', '"a.> b"'), /has spaces/],
    ['a name with a control character', examples.postgres.replace('tables: [t]', 'tables: ["t\\u0001"]'), /control/],
    ['AWS for a minute', examples['aws-sts'].replace('region:', 'ttl_s: 60, region:'), /credentials\/k\/ttl_s/],
    ['a life of more than an hour', examples.jwt.replace('scope: read', 'ttl_s: 3601'), /credentials\/k\/ttl_s/],
    [
      'a person whom nobody can name',
      examples['oauth-token-exchange'].replace('scope: read', 'subject: person'),
      /subject_tokens names no issuer/,
    ],
  ])('is refused for %s', (_, credential, message) => {
    expect(() => parse(credential)).toThrow(message);
  });

  test('offers the words of its rules as scope', () => {
    const scoped = `[{ scope: read, ${rules.slice(2)}, { scope: write, ${rules.slice(2)}, { scope: read, ${rules.slice(2)}]`;
    const { k } = parse(examples.postgres.replace(`[${rules}]`, scoped)).credentials;
    expect(k && scopeOf(k)).toBe('read write');
    const plain = parse(examples.postgres).credentials.k;
    expect(plain && scopeOf(plain)).toBeUndefined();
  });
});

describe('what is injected', () => {
  test.each([
    ['one variable', '{ env: URL, format: "{url}" }'],
    ['several variables', '{ env: { PGUSER: "{user}", PGPASSWORD: "{password}" } }'],
    ['_meta', '{ meta: io.test/token, format: "x-{secret}" }'],
  ])('may be %s', (_, inject) => {
    expect(parse(examples.postgres, withInject(inject)).servers.s?.inject).toBeDefined();
  });

  test.each([
    ['a part that the provider does not have', examples.jwt, '{ env: T, format: "{password}" }', /has no \{password\}/],
    ['no part at all', examples.jwt, '{ env: T, format: "fixed" }', /inject/],
    ['no variable', examples.jwt, '{ env: {} }', /inject/],
    ['a header of a process', examples.jwt, '{ header: Authorization }', /header goes with http/],
    [
      'a bound token without a header',
      examples.jwt.replace('scope: read', 'bind: dpop'),
      '{ env: T }',
      /goes into a header/,
    ],
  ])('is refused for %s', (_, credential, inject, message) => {
    expect(() => parse(credential, withInject(inject))).toThrow(message);
  });

  test('is put in by its parts, and nothing of a secret is read as a format', () => {
    expect(formatted('{user}:{password}', { user: 'u', password: '{user}$1' })).toBe('u:{user}$1');
    expect(() => formatted('{constructor}', {})).toThrow('constructor');
  });
});

describe('operators', () => {
  test.each([
    ['dual control without a second one', 'dual_control: [global]', /operators names none/],
    ['one who is somebody else', 'operators: [auditor]', /name of another user/],
    ['one who is named twice', 'operators: [ann, ann]', /name of another user/],
    ['one who approves, too', 'operators: [ann]\napprovals: { people: { ann: {} } }', /name of another user/],
  ])('are refused for %s', (_, more, message) => {
    expect(() => parse(examples.static, '', more)).toThrow(message);
  });
});

test('keys of people’s issuers come from this machine or by https', () => {
  const of = (uri: string) =>
    `v: 1\ntenants: {}\nsubject_tokens: [{ issuer: "https://i.test", audience: gate, jwks_uri: "${uri}" }]\n`;
  expect(() => parseConfig(of('http://idp.test/jwks'), '/a.yaml')).toThrow(/jwks_uri: must be https/);
  expect(parseConfig(of('http://127.0.0.1:9/jwks'), '/a.yaml').subject_tokens).toHaveLength(1);
});

describe('list_with', () => {
  const http = 'http: { url: "https://crm.test/mcp" }';
  const header = `${http}\n    credential: k\n    inject: { header: Authorization }`;

  test('names the credential that the gate lists a server with', () => {
    expect(parse(examples.static, `${header}\n    list_with: k`).servers.s?.list_with).toBe('k');
    expect(parse(examples.static, withInject('{ env: T }\n    list_with: k')).servers.s?.list_with).toBe('k');
  });

  test.each([
    ['without an inject', `${http}\n    list_with: k`, /servers\/s\/list_with: goes with an inject of header or env/],
    [
      'with _meta, which a list has not',
      `${http}\n    credential: k\n    inject: { meta: t }\n    list_with: k`,
      /goes with an inject/,
    ],
    ['of a credential that is not there', `${header}\n    list_with: other`, /list_with: no credential is named other/],
    ['of one that every object has', `${header}\n    list_with: constructor`, /no credential is named constructor/],
  ])('is refused %s', (_, server, message) => {
    expect(() => parse(examples.static, server)).toThrow(message);
  });

  test('is refused for what is made for a person, and for what has no such part', () => {
    const person = examples['redis-acl'].replace('"a:*"', '"a:{person}:*"');
    expect(() => parse(person, `${header}\n    list_with: k`)).toThrow(/list_with: is made for a person/);
    const parts = `${http}\n    credential: k\n    inject: { header: X, format: "{user}" }\n    list_with: l`;
    const two = `${examples['redis-acl']}\n  l: ${examples.static}`;
    expect(() => parse(two, parts)).toThrow(/list_with: a credential of provider static has no \{user\}/);
  });
});
