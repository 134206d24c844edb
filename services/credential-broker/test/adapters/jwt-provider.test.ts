import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateSigningKey } from '@agentgate/evidence';
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createJwtKeys, type JwksDocument, type JwtKeys } from '../../src/adapters/jwt-keys.ts';
import { createJwtProvider } from '../../src/adapters/jwt-provider.ts';
import { createRevokedTokens } from '../../src/adapters/revoked-tokens.ts';
import { askOf, createBench } from '../fixture.ts';
import { orderOf } from '../orders.ts';

const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const order = orderOf({ lease: 'default/demo/s/c/jwt/p', scope: 'read', issuedAt: at, expiresAt: at + 20_000 });
const old = generateSigningKey();
const clock = { at };
let dir: string;
let file: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'broker-jwt-'));
  file = join(dir, 'jwt.seed');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const keysOf = (text = `${old.seed}\n`): JwtKeys => {
  writeFileSync(file, text);
  clock.at = at;
  return createJwtKeys(file, () => clock.at);
};
const make = (keys = keysOf(), bind?: 'dpop') =>
  createJwtProvider({
    keys,
    issuer: 'http://broker.test',
    config: { audience: 'https://api.test', ...(bind && { bind }) },
  });
const verifyAt = (jwks: JwksDocument, token: string, ms: number, audience = 'https://api.test') =>
  jwtVerify(token, createLocalJWKSet(jwks), {
    issuer: 'http://broker.test',
    audience,
    typ: 'at+jwt',
    algorithms: ['EdDSA'],
    currentDate: new Date(ms),
  });

test('mints an access token of RFC 9068 that the key set verifies', async () => {
  const keys = keysOf();
  const { parts } = await make(keys).mint(order);
  const jwks = await keys.published();
  const { payload, protectedHeader } = await verifyAt(jwks, parts.secret, at + 1_000);
  expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid: jwks.keys[0]?.kid });
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

test('names the person as subject and the agent as who acts for them', async () => {
  const keys = keysOf();
  const { parts } = await make(keys).mint({ ...order, person: { id: 'ann', token: 'x' } });
  const { payload } = await verifyAt(await keys.published(), parts.secret, at);
  expect(payload).toMatchObject({ sub: 'ann', act: { sub: 'default/demo' }, client_id: 'default/demo' });
});

test('binds the token to a key that the lease holds', async () => {
  const keys = keysOf();
  const { parts, dpopKey } = await make(keys, 'dpop').mint(order);
  const { payload } = await verifyAt(await keys.published(), parts.secret, at);
  expect(dpopKey).toMatchObject({ kty: 'EC', crv: 'P-256', d: expect.any(String) });
  expect(payload.cnf).toEqual({ jkt: await calculateJwkThumbprint(dpopKey ?? {}) });
});

test('the token is refused after its end, for another audience and by another key', async () => {
  const keys = keysOf();
  const { parts } = await make(keys).mint(order);
  const jwks = await keys.published();
  await expect(verifyAt(jwks, parts.secret, at + 20_000)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' });
  await expect(verifyAt(jwks, parts.secret, at, 'https://other.test')).rejects.toMatchObject({
    code: 'ERR_JWT_CLAIM_VALIDATION_FAILED',
  });
  const other = await keysOf(`${generateSigningKey().seed}\n`).published();
  await expect(verifyAt(other, parts.secret, at)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
});

test('names no scope when the lease has none', async () => {
  const keys = keysOf();
  const { parts } = await make(keys).mint({ ...order, scope: undefined });
  expect((await verifyAt(await keys.published(), parts.secret, at)).payload).not.toHaveProperty('scope');
});

test('never outlives the lease: refuses with TIMEOUT when less than a second is left', async () => {
  await expect(make().mint({ ...order, expiresAt: at + 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('the key set holds nothing private', async () => {
  const jwks = await keysOf().published();
  expect(Object.keys(jwks.keys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  expect(JSON.stringify(jwks)).not.toContain(old.seed);
});

describe('rotation', () => {
  const next = generateSigningKey();
  const from = at + 600_000;

  test('shows the next key before it signs, and the last one until its tokens are over', async () => {
    const keys = keysOf(`${old.seed}\n${next.seed} ${new Date(from).toISOString()}\n`);
    const kidsAt = async (ms: number) => {
      clock.at = ms;
      return { signs: (await keys.signing()).kid, shown: (await keys.published()).keys.map(({ kid }) => kid) };
    };
    const [first = '', second = ''] = (await kidsAt(at)).shown;
    expect(await kidsAt(from - 1)).toEqual({ signs: first, shown: [first, second] });
    expect(await kidsAt(from)).toEqual({ signs: second, shown: [first, second] });
    expect(await kidsAt(from + 3_600_000)).toEqual({ signs: second, shown: [first, second] });
    expect(await kidsAt(from + 3_900_000)).toEqual({ signs: second, shown: [second] });
  });

  test('counts as soon as the file is changed', async () => {
    const keys = keysOf();
    const before = (await keys.signing()).kid;
    writeFileSync(file, `${old.seed}\n${next.seed} ${new Date(at).toISOString()}\n`);
    expect((await keys.signing()).kid).not.toBe(before);
  });

  test.each(['', 'not-a-seed', `${old.seed} yesterday`])('a file that holds no keys is refused (%#)', async (text) => {
    await expect(keysOf(text).signing()).rejects.toThrow();
  });
});

test('those that ended before their time are listed until it comes, also what is being ended', async () => {
  const bench = createBench({ provider: { kind: 'jwt' } });
  const revoked = createRevokedTokens(bench.index, () => bench.clock.at);
  const [one, two] = [askOf(), askOf()];
  const { lease } = await bench.broker.lease(one);
  await bench.broker.lease(two);
  expect(revoked.document()).toEqual({ revoked: [] });
  await bench.broker.release({ lease, permit: one.permit.claims.id });
  const exp = Math.ceil((bench.clock.at + 30_000) / 1_000);
  expect(revoked.document()).toEqual({ revoked: [{ jti: lease, exp }] });
  bench.clock.at += 30_000;
  expect(revoked.document()).toEqual({ revoked: [] });
});
