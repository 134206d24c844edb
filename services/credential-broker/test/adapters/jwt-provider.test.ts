import { generateSigningKey } from '@agentgate/evidence';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import { createJwtProvider } from '../../src/adapters/jwt-provider.ts';

const key = generateSigningKey();
const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const order = {
  lease: 'default/demo/s/c/jwt/p',
  credential: 'api',
  scope: 'read',
  tenant: 'default',
  agent: 'demo',
  issuedAt: at,
  expiresAt: at + 20_000,
};
const make = () =>
  createJwtProvider({ key, issuer: 'http://broker.test', audiences: new Map([['api', 'https://api.test']]) });
const verifyAt = (
  jwks: Parameters<typeof createLocalJWKSet>[0],
  token: string,
  ms: number,
  audience = 'https://api.test',
) =>
  jwtVerify(token, createLocalJWKSet(jwks), {
    issuer: 'http://broker.test',
    audience,
    typ: 'at+jwt',
    algorithms: ['EdDSA'],
    currentDate: new Date(ms),
  });

test('mints an access token of RFC 9068 that the key set verifies', async () => {
  const provider = await make();
  const token = Buffer.from((await provider.mint(order)).secret).toString('utf8');
  const { payload, protectedHeader } = await verifyAt(provider.jwks, token, at + 1_000);
  expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: provider.jwks.keys[0]?.kid });
  const iat = Math.floor(at / 1000);
  expect(payload).toEqual({
    iss: 'http://broker.test',
    sub: 'default/demo',
    client_id: 'default/demo',
    aud: 'https://api.test',
    scope: 'read',
    iat,
    exp: iat + 20,
    jti: order.lease,
  });
});

test('the token is refused after its end, for another audience and by another key', async () => {
  const provider = await make();
  const token = Buffer.from((await provider.mint(order)).secret).toString('utf8');
  await expect(verifyAt(provider.jwks, token, at + 20_000)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' });
  await expect(verifyAt(provider.jwks, token, at, 'https://other.test')).rejects.toMatchObject({
    code: 'ERR_JWT_CLAIM_VALIDATION_FAILED',
  });
  const other = await createJwtProvider({ key: generateSigningKey(), issuer: 'x', audiences: new Map() });
  await expect(verifyAt(other.jwks, token, at)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
});

test('names no scope when the lease has none', async () => {
  const provider = await make();
  const token = Buffer.from((await provider.mint({ ...order, scope: undefined })).secret).toString('utf8');
  expect((await verifyAt(provider.jwks, token, at)).payload).not.toHaveProperty('scope');
});

test('never outlives the lease: refuses with TIMEOUT when less than a second is left', async () => {
  const provider = await make();
  await expect(provider.mint({ ...order, expiresAt: at + 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('the key set holds nothing private', async () => {
  const { jwks } = await make();
  expect(Object.keys(jwks.keys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  expect(JSON.stringify(jwks)).not.toContain(key.seed);
});
