import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createProofs } from '../src/adapters/dpop-proofs.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const token = 'access-token-0123456789';
const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

interface Seen {
  header: { jwk: Record<string, unknown>; alg: string; typ: string };
  claims: Record<string, unknown>;
  isSigned: boolean;
}

const opened = async (proof: string): Promise<Seen> => {
  const [header = '', claims = '', signature = ''] = proof.split('.');
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
  const key = await crypto.subtle.importKey('jwk', parse(header).jwk, algorithm, true, ['verify']);
  const signed = Buffer.from(`${header}.${claims}`);
  const isSigned = await crypto.subtle.verify(algorithm, key, Buffer.from(signature, 'base64url'), signed);
  return { header: parse(header), claims: parse(claims), isSigned };
};

/** A server that takes no proof without its newest nonce. */
const startServer = async () => {
  const proofs: string[] = [];
  let served = 0;
  const server = createServer((req, res) => {
    const proof = String(req.headers.dpop);
    proofs.push(proof);
    const { nonce } = JSON.parse(Buffer.from(proof.split('.')[1] ?? '', 'base64url').toString());
    res.setHeader('DPoP-Nonce', 'nonce-1');
    if (nonce !== 'nonce-1') return void res.writeHead(401).end('{}');
    served++;
    res.writeHead(200).end('done');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, proofs, served: () => served };
};

test('each request carries a proof for itself by the key that the token is bound to', async () => {
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const jwk = await crypto.subtle.exportKey('jwk', privateKey);
  const { url, proofs, served } = await startServer();
  const proof = createProofs({ parts: { secret: token }, hidden: [token], dpopKey: { ...jwk } });
  const post = () => proof?.fetch(new URL(`${url}?q=1`), { method: 'POST', body: '{}' });
  expect((await post())?.status).toBe(200);
  expect((await post())?.status).toBe(200);
  // One without the nonce, which the server refused unrun; the next ones with it.
  expect([proofs.length, served()]).toEqual([3, 2]);
  const seen = await Promise.all(proofs.map(opened));
  expect(seen.every(({ isSigned }) => isSigned)).toBe(true);
  expect(new Set(seen.map(({ claims }) => claims.jti)).size).toBe(3);
  expect(seen[2]).toMatchObject({
    header: { typ: 'dpop+jwt', alg: 'ES256', jwk: { x: jwk.x, y: jwk.y } },
    claims: { htm: 'POST', htu: url, nonce: 'nonce-1', ath: createHash('sha256').update(token).digest('base64url') },
  });
  expect(seen.every(({ header }) => header.jwk.d === undefined)).toBe(true);
});

test('a key that is none stops the call', async () => {
  const proof = createProofs({ parts: { secret: token }, hidden: [token], dpopKey: { kty: 'EC' } });
  await expect(proof?.fetch(new URL('http://127.0.0.1:1/'), {})).rejects.toMatchObject({
    code: 'CREDENTIAL_UNAVAILABLE',
  });
});

test('a credential that is not bound needs none', () => {
  expect(createProofs({ parts: { secret: token }, hidden: [token], dpopKey: undefined })).toBeUndefined();
});
