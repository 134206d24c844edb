import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSigningKey } from '@agentgate/evidence';
import { baseConfig } from '@agentgate/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createJwtKeys } from '../src/adapters/jwt-keys.ts';
import { readBrokerConfig } from '../src/config.ts';
import { createOffers } from '../src/offers.ts';
import { testSecrets } from './orders.ts';

let dir: string;
let seeds: { AGENTGATE_JWT_KEY: string; AGENTGATE_BROKER_KEY: string };
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'broker-config-'));
  const seed = () => `${generateSigningKey().seed}\n`;
  seeds = { AGENTGATE_JWT_KEY: write('jwt.seed', seed()), AGENTGATE_BROKER_KEY: write('broker.seed', seed()) };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const write = (name: string, content: string) => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};
const read = (yaml: string, env: Record<string, string> = {}) =>
  readBrokerConfig(
    baseConfig.parse({
      AGENTGATE_NATS_URL: 'x',
      AGENTGATE_NATS_CREDS: 'x',
      AGENTGATE_KEY: 'x',
      AGENTGATE_TRUST: 'x',
      AGENTGATE_HTTP_PORT: '9105',
      AGENTGATE_CONFIG: write('gate.yaml', yaml),
    }),
    { ...seeds, ...env },
  );
const credentials = (text: string) => `v: 1\ntenants: {}\ncredentials: ${text}\n`;
const offersOf = (yaml: string) => {
  const config = read(yaml);
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const keys = createJwtKeys(config.jwt.keyFile, Date.now);
  return createOffers({ config, keys, secrets: testSecrets(), log, now: Date.now });
};

test.each(['AGENTGATE_JWT_KEY', 'AGENTGATE_BROKER_KEY'])(
  'refuses a file of %s that is none, without repeating it',
  (name) => {
    expect(() => read(credentials('{}'), { [name]: write('bad.seed', 'not-a-seed') })).toThrow(
      new RegExp(`^${name}: the file does not hold a readable seed$`),
    );
    expect(() => read(credentials('{}'), { [name]: join(dir, 'absent') })).toThrow(name);
  },
);

test('takes its own HTTP port as the issuer unless told otherwise', () => {
  expect(read(credentials('{}')).jwt.issuer).toBe('http://127.0.0.1:9105');
  expect(read(credentials('{}'), { AGENTGATE_JWT_ISSUER: 'https://gate.test' }).jwt.issuer).toBe('https://gate.test');
});

test('names file and line of a configuration that is refused', () => {
  expect(() => read(credentials('{ crm: { provider: static, secret: oops } }'))).toThrow(
    /gate\.yaml:3: credentials\/crm/,
  );
});

test('offers what each credential may give at most', async () => {
  const offers = await offersOf(
    credentials(`
  crm: { provider: static, from: { env: CRM }, max_leases: 5 }
  api: { provider: jwt, audience: a, scope: read, ttl_s: 30, reuse: session }
  db:
    provider: postgres
    admin: { file: ./pg.url }
    rules:
      - { scope: read, schema: s, tables: [a], privileges: [select] }
      - { scope: write, schema: s, tables: [a], privileges: [insert] }
  mine:
    provider: redis-acl
    admin: { env: REDIS }
    rules: [{ keys: ["notes:{person}:*"], commands: [get] }]`),
  );
  expect(offers.get('crm')).toMatchObject({ maxTtlMs: Number.POSITIVE_INFINITY, scoped: false, maxLeases: 5 });
  expect(offers.get('api')).toMatchObject({ maxTtlMs: 30_000, scope: 'read', scoped: true, reuse: 'session' });
  expect(offers.get('db')).toMatchObject({ scope: 'read write', scoped: true, needsPerson: false, reuse: 'call' });
  expect(offers.get('mine')).toMatchObject({ scope: undefined, scoped: false, needsPerson: true });
});
