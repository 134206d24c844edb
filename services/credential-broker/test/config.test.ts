import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSigningKey } from '@agentgate/evidence';
import { baseConfig } from '@agentgate/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readBrokerConfig } from '../src/config.ts';
import { createOffers } from '../src/offers.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'broker-config-'));
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
    env,
  );
const credentials = (text: string) => `v: 1\ntenants: {}\ncredentials: ${text}\n`;
const jwtOnly = credentials('{ api: { provider: jwt, audience: a, scope: read, ttl_s: 30 } }');

test('needs no JWT key when no credential is a JWT', async () => {
  const config = read(credentials('{ crm: { provider: static, from: { env: CRM } } }'), { CRM: 'value' });
  expect(config.jwt).toBe(undefined);
  const { offers, jwks } = await createOffers(config, { info: () => {}, warn: () => {} });
  expect(offers.get('crm')).toMatchObject({ maxTtlMs: Number.POSITIVE_INFINITY, scoped: false });
  expect(jwks).toEqual({ keys: [] });
});

test('refuses to start without a JWT key when a credential is a JWT', () => {
  expect(() => read(jwtOnly)).toThrow('AGENTGATE_JWT_KEY: must be set');
});

test('refuses a JWT key that is none, without repeating it', () => {
  const AGENTGATE_JWT_KEY = write('bad.seed', 'not-a-seed');
  expect(() => read(jwtOnly, { AGENTGATE_JWT_KEY })).toThrow(
    /^AGENTGATE_JWT_KEY: the file does not hold a readable seed$/,
  );
});

test('takes its own HTTP port as the issuer unless told otherwise', async () => {
  const AGENTGATE_JWT_KEY = write('jwt.seed', `${generateSigningKey().seed}\n`);
  const config = read(jwtOnly, { AGENTGATE_JWT_KEY });
  expect(config.jwt?.issuer).toBe('http://127.0.0.1:9105');
  expect(read(jwtOnly, { AGENTGATE_JWT_KEY, AGENTGATE_JWT_ISSUER: 'https://gate.test' }).jwt?.issuer).toBe(
    'https://gate.test',
  );
  const { offers, jwks } = await createOffers(config, { info: () => {}, warn: () => {} });
  expect(offers.get('api')).toMatchObject({ maxTtlMs: 30_000, scope: 'read', scoped: true });
  expect(jwks.keys).toHaveLength(1);
});

test('names file and line of a configuration that is refused', () => {
  expect(() => read(credentials('{ crm: { provider: static, secret: oops } }'))).toThrow(
    /gate\.yaml:3: credentials\/crm/,
  );
});
