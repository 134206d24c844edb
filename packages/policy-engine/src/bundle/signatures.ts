import { createPublicKey, type KeyObject } from 'node:crypto';
import type { SigningKey } from '@agentgate/evidence';
import { CompactSign, compactVerify, decodeProtectedHeader, importJWK } from 'jose';
import { z } from 'zod';
import type { BundleFileName, BundleFiles } from './archive.ts';
import { fileDigest, readJson } from './file-digest.ts';
import { refuse } from './refused.ts';

// OPA's bundle signing: `.signatures.json` holds a JWT over the digests of all other files. EdDSA and nothing else.

const algorithm = 'EdDSA';
const file = '.signatures.json';

const signaturesFile = z.strictObject({ signatures: z.tuple([z.string().max(32_768)]) });
const signedFiles = z.object({
  files: z
    .array(
      z.strictObject({
        name: z.string().max(128),
        hash: z.string().regex(/^[0-9a-f]{64}$/),
        algorithm: z.literal('SHA-256'),
      }),
    )
    .max(16),
});

/** Whose policies count, by key id. */
export type Authors = ReadonlyMap<string, KeyObject>;

const authorsFile = z.strictObject({
  v: z.literal(1),
  keys: z
    .array(z.strictObject({ keyid: z.string().min(1).max(64), public_key: z.string().length(43) }))
    .min(1)
    .max(64),
});

/** Reads policy-authors.json; `name` is what an error calls it. Throws POLICY_INVALID naming the field. */
export const parseAuthors = (name: string, text: string): Authors => {
  const parsed = authorsFile.safeParse(readJson(name, Buffer.from(text)));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw refuse(name, `/${issue?.path.join('/') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  return new Map(parsed.data.keys.map(({ keyid, public_key: x }) => [keyid, publicKey(name, keyid, x)]));
};

const publicKey = (name: string, keyid: string, x: string): KeyObject => {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch (cause) {
    throw refuse(name, `key ${keyid} is not an Ed25519 public key in base64url`, cause);
  }
};

const digestsOf = (files: BundleFiles) =>
  (Object.entries(files) as [BundleFileName, Uint8Array<ArrayBuffer>][])
    .filter(([name]) => name !== file)
    .map(([name, bytes]) => ({ name, hash: fileDigest(name, bytes), algorithm: 'SHA-256' }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

/** The files with the signature over them. The same files and key give the same bytes. */
export const signBundle = async (files: BundleFiles, key: SigningKey): Promise<BundleFiles> => {
  const secret = await importJWK({ kty: 'OKP', crv: 'Ed25519', d: key.seed, x: key.publicKey }, algorithm);
  const jwt = await new CompactSign(Buffer.from(JSON.stringify({ files: digestsOf(files) })))
    .setProtectedHeader({ alg: algorithm, kid: key.keyid, typ: 'JWT' })
    .sign(secret);
  return { ...files, [file]: new Uint8Array(Buffer.from(`${JSON.stringify({ signatures: [jwt] })}\n`)) };
};

/** The key id of the author who signed exactly these files. Throws POLICY_INVALID. */
export const verifySignature = async (files: BundleFiles, authors: Authors): Promise<string> => {
  const bytes = files[file];
  if (!bytes) throw refuse(file, 'is missing: the bundle is not signed');
  const parsed = signaturesFile.safeParse(readJson(file, bytes));
  if (!parsed.success) throw refuse(file, 'does not hold exactly one signature');
  const { keyid, payload } = await verified(parsed.data.signatures[0], authors);
  const signed = signedFiles.safeParse(payload);
  if (!signed.success) throw refuse(file, 'does not say which files it signs');
  const wanted = new Map(signed.data.files.map(({ name, hash }) => [name.replace(/^\//, ''), hash]));
  for (const { name, hash } of digestsOf(files)) {
    if (!wanted.has(name)) throw refuse(name, 'is not signed');
    if (wanted.get(name) !== hash) throw refuse(name, 'is not what was signed');
    wanted.delete(name);
  }
  for (const name of wanted.keys()) throw refuse(name, 'was signed and is missing');
  return keyid;
};

const verified = async (jwt: string, authors: Authors): Promise<{ keyid: string; payload: unknown }> => {
  const keyid = keyidOf(jwt);
  const key = authors.get(keyid);
  if (!key) throw refuse(file, `key ${JSON.stringify(keyid.slice(0, 64))} is not of an author whose policies count`);
  try {
    const { payload } = await compactVerify(jwt, key, { algorithms: [algorithm] });
    return { keyid, payload: readJson(file, payload) };
  } catch (cause) {
    throw refuse(file, 'the signature is not good', cause);
  }
};

const keyidOf = (jwt: string): string => {
  try {
    return decodeProtectedHeader(jwt).kid ?? '';
  } catch (cause) {
    throw refuse(file, 'holds no JWT', cause);
  }
};
