import { type Account, encodeUser, type User } from '@nats-io/jwt';
import { createAccount, createUser, type KeyPair } from '@nats-io/nkeys';
import { expect, test } from 'vitest';
import { readBearer } from '../src/bearer.ts';
import { mintAccount, mintBearer, mintUser, newAccountSeed, newOperatorSeed, publicKeyOf } from '../src/jwt.ts';

const accountSeed = newAccountSeed();
const account = publicKeyOf(accountSeed);
const permissions = { pub: ['agent.demo.>'], sub: ['_INBOX_demo.>'] };
const user = createUser().getPublicKey();
const mint = (name = 'demo') => mintBearer({ name, accountSeed, permissions, user });

const partsOf = (token: string) => token.split('.') as [string, string, string];
const encoded = (claims: unknown) => Buffer.from(JSON.stringify(claims)).toString('base64url');
const claimsIn = (token: string) => JSON.parse(Buffer.from(partsOf(token)[1], 'base64url').toString('utf8'));
const withHeader = (token: string, header: object) => [encoded(header), ...partsOf(token).slice(1)].join('.');
/** Says something else under the signature of before. */
const saying = (token: string, claims: object) => {
  const [header, , signature] = partsOf(token);
  return `${header}.${encoded({ ...claimsIn(token), ...claims })}.${signature}`;
};
/** Whatever claims, with a signature of this key that is in order. */
const signedBy = (key: KeyPair, token: string, claims: object) => {
  const said = `${partsOf(token)[0]}.${encoded({ ...claimsIn(token), iss: key.getPublicKey(), ...claims })}`;
  return `${said}.${Buffer.from(key.sign(new TextEncoder().encode(said))).toString('base64url')}`;
};

test('reads who a bearer token is of, which the account says that signed it', async () => {
  expect(readBearer(await mint())).toEqual({ name: 'demo', user, account });
});

test('mints it for the key of the credentials', async () => {
  const { creds, user: key } = await mintUser({ name: 'demo', accountSeed, permissions });
  const token = await mintBearer({ name: 'demo', accountSeed, permissions, user: key });
  expect(readBearer(token)?.user).toBe(key);
  const jwt = creds.split('\n')[1] ?? '';
  const { iat, jti, ...said } = claimsIn(jwt);
  expect(claimsIn(token)).toMatchObject({ ...said, nats: { ...said.nats, bearer_token: true } });
});

test('names the account of another: that it is none of ours its caller finds out', async () => {
  const other = newAccountSeed();
  const token = await mintBearer({ name: 'demo', accountSeed: other, permissions, user });
  expect(readBearer(token)?.account).toBe(publicKeyOf(other));
});

test('takes it until it expires', async () => {
  const key = createAccount();
  const token = await encodeUser('demo', user, key, { bearer_token: true }, { exp: 1_900_000_000 });
  expect(readBearer(token, () => 1_899_999_999_999)).toMatchObject({ name: 'demo' });
  expect(readBearer(token, () => 1_900_000_000_000)).toBeUndefined();
});

const attacker = createAccount();
const asUser = (more: Partial<User>): Partial<User> => ({ bearer_token: true, ...more });
const accountJwt = () =>
  mintAccount({
    name: 'demo',
    seed: accountSeed,
    operatorSeed: newOperatorSeed(),
    claims: { bearer_token: true } as Partial<Account>,
  });

test.each<[string, () => string | Promise<string>]>([
  [
    'the JWT of credentials',
    async () => (await mintUser({ name: 'demo', accountSeed, permissions })).creds.split('\n')[1] ?? '',
  ],
  ['whole credentials', async () => (await mintUser({ name: 'demo', accountSeed, permissions })).creds],
  ['another name under the same signature', async () => saying(await mint(), { name: 'second' })],
  ['another user under the same signature', async () => saying(await mint(), { sub: createUser().getPublicKey() })],
  ['our account named over a signature of another', async () => signedBy(attacker, await mint(), { iss: account })],
  [
    'our account named beside a signing key that is not its own',
    () => encodeUser('demo', user, attacker, asUser({ issuer_account: account } as Partial<User>)),
  ],
  [
    'a signature that is missing',
    async () =>
      `${partsOf(await mint())
        .slice(0, 2)
        .join('.')}.`,
  ],
  ['a signature that is too short', async () => (await mint()).slice(0, -4)],
  ['another algorithm', async () => signedBy(attacker, withHeader(await mint(), { typ: 'JWT', alg: 'ed25519' }), {})],
  ['an account', accountJwt],
  ['what a user signed', async () => signedBy(createUser(), await mint(), {})],
  ['an account in place of the user', async () => signedBy(attacker, await mint(), { sub: account })],
  ['what is of no kind', async () => signedBy(attacker, await mint(), { nats: { bearer_token: true } })],
  [
    'a flag that is only like true',
    async () => signedBy(attacker, await mint(), { nats: { type: 'user', bearer_token: 'true' } }),
  ],
  ['an end that is no time', async () => signedBy(attacker, await mint(), { exp: 'never' })],
  [
    'claims that are no object',
    async () => `${partsOf(await mint())[0]}.${encoded('eyJ')}.${partsOf(await mint())[2]}`,
  ],
  ['a name that would be everybody', () => mint('*')],
  ['a name with a dot', () => mint('demo.call')],
  ['no name', () => mint('')],
  ['a name beyond its bound', () => mint('d'.repeat(64))],
  ['a line break after it', async () => `${await mint()}\n`],
  [
    'what is bigger than 8 KiB',
    () => mintBearer({ name: 'demo', accountSeed, permissions: { pub: ['a'.repeat(8192)], sub: [] }, user }),
  ],
  ['nothing', () => ''],
  ['garbage', () => '\u0000\ud800💥'],
  ['garbage in the form of a token', () => 'eyJ.eyJ.eyJ'],
  ['a depth that nothing can parse', () => `eyJ${'W1tb'.repeat(1000)}.eyJ.eyJ`],
])('gives nobody for %s', async (_, token) => {
  expect(readBearer(await token())).toBeUndefined();
});

test('does take what the attacker of these tests signs in its own name, so that they fail for what they name', async () => {
  expect(readBearer(signedBy(attacker, await mint(), {}))).toEqual({
    name: 'demo',
    user,
    account: attacker.getPublicKey(),
  });
});
