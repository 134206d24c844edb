import { createHmac } from 'node:crypto';
import { generateSigningKey } from '@agentgate/evidence';
import { describe, expect, test } from 'vitest';
import { packBundle } from '../../src/bundle/archive.ts';
import { openBundle } from '../../src/bundle/revision.ts';
import { parseAuthors, signBundle, verifySignature } from '../../src/bundle/signatures.ts';
import { author, authors, authorsOf, goodFiles, json, parsed, signedBundle } from './bundles.ts';

const refused = (message: string) => ({ code: 'POLICY_INVALID', message });
const signed = () => signBundle(goodFiles(), author);
const jwtOf = async () =>
  (parsed((await signed())['.signatures.json']) as { signatures?: string[] }).signatures?.[0] ?? '';
const withJwt = async (jwt: string) => ({ ...(await signed()), '.signatures.json': json({ signatures: [jwt] }) });
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('tells the author who signed exactly these files', async () => {
  expect(await verifySignature(await signed(), authorsOf(generateSigningKey(), author))).toBe(author.keyid);
});

test('the same files and key give the same bundle', async () => {
  expect(Buffer.from(await signedBundle()).equals(await signedBundle())).toBe(true);
});

describe('refuses', () => {
  test('a bundle without a signature', async () => {
    await expect(openBundle(await packBundle(goodFiles()), authors)).rejects.toMatchObject(
      refused('.signatures.json: is missing: the bundle is not signed'),
    );
  });

  test('one that somebody else signed', async () => {
    const other = generateSigningKey();
    await expect(openBundle(await signedBundle(), authorsOf(other))).rejects.toMatchObject(
      refused(`.signatures.json: key "${author.keyid}" is not of an author whose policies count`),
    );
  });

  test('one that somebody else signed in the name of an author', async () => {
    const posing = new Map([[author.keyid, [...authorsOf(generateSigningKey()).values()][0] as never]]);
    await expect(verifySignature(await signed(), posing)).rejects.toMatchObject(
      refused('.signatures.json: the signature is not good'),
    );
  });

  test.each(['policy.wasm', 'data.json', 'tests.json', '.manifest'] as const)('a changed %s', async (name) => {
    const files = await signed();
    const value = name === 'policy.wasm' ? new Uint8Array([0]) : json({ ...parsed(files[name]), more: 1 });
    await expect(verifySignature({ ...files, [name]: value }, authors)).rejects.toMatchObject(
      refused(`${name}: is not what was signed`),
    );
  });

  test('a file that was not signed', async () => {
    const { 'tests.json': tests, ...others } = goodFiles();
    const files = { ...(await signBundle(others, author)), 'tests.json': tests as Uint8Array<ArrayBuffer> };
    await expect(verifySignature(files, authors)).rejects.toMatchObject(refused('tests.json: is not signed'));
  });

  test('a file that was signed and taken out', async () => {
    const { 'tests.json': _, ...files } = await signed();
    await expect(verifySignature(files, authors)).rejects.toMatchObject(
      refused('tests.json: was signed and is missing'),
    );
  });

  test.each(['none', 'HS256'])('a JWT of the algorithm %s, signed with what everybody knows', async (alg) => {
    const payload = (await jwtOf()).split('.')[1] ?? '';
    const head = `${base64url({ alg, kid: author.keyid })}.${payload}`;
    const mac = alg === 'none' ? '' : createHmac('sha256', author.publicKey).update(head).digest('base64url');
    await expect(verifySignature(await withJwt(`${head}.${mac}`), authors)).rejects.toMatchObject(
      refused('.signatures.json: the signature is not good'),
    );
  });

  test('what is no JWT, and two signatures', async () => {
    await expect(verifySignature(await withJwt('hello'), authors)).rejects.toMatchObject(
      refused('.signatures.json: holds no JWT'),
    );
    const jwt = await jwtOf();
    const two = { ...(await signed()), '.signatures.json': json({ signatures: [jwt, jwt] }) };
    await expect(verifySignature(two, authors)).rejects.toMatchObject(
      refused('.signatures.json: does not hold exactly one signature'),
    );
  });
});

test('a file of authors that is wrong is an error that names the field', () => {
  expect(() => parseAuthors('a.json', '{"v":1,"keys":[]}')).toThrow(/^a\.json: \/keys: /);
  expect(() => parseAuthors('a.json', 'x')).toThrow('a.json: is not JSON in UTF-8');
});
