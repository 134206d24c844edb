import { createPublicKey, verify } from 'node:crypto';
import { bearerIn } from '@agentgate/bus';
import { name as nameSchema } from '@agentgate/contracts';
import { Prefix } from '@nats-io/nkeys';
import { Codec } from '@nats-io/nkeys/lib/codec.js';
import { z } from 'zod';

// Bearer tokens: a user's JWT with which NATS asks for no signature of the user's key. They are minted in jwt.ts.

export interface Bearer {
  /** The agent's name. */
  name: string;
  /** The user's public key. */
  user: string;
  /** The public key of the account that signed it. Anybody can make an account: whether it is one of ours the caller has to check. */
  account: string;
}

const header = z.object({ alg: z.literal('ed25519-nkey') });
const claims = z.object({
  name: nameSchema,
  sub: z.string().regex(/^U[A-Z2-7]{55}$/),
  iss: z.string().regex(/^A[A-Z2-7]{55}$/),
  /** Seconds since the epoch. */
  exp: z.number().optional(),
  nats: z.object({
    type: z.literal('user'),
    bearer_token: z.literal(true),
    issuer_account: z.string().optional(),
    pub: z.unknown().optional(),
    sub: z.unknown().optional(),
    resp: z.unknown().optional(),
    tags: z.unknown().optional(),
  }),
});

/** By Node itself: nkeys takes 14 ms a signature, and whoever sends tokens at will could hold a service up with them. */
const isSignedBy = (account: string, said: string, signature: string): boolean => {
  const x = Buffer.from(Codec.decode(Prefix.Account, Buffer.from(account))).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, Buffer.from(said), key, Buffer.from(signature, 'base64url'));
};

/** What stands in a bearer token, if an account signed it and its time is not over. */
export const bearerClaimsIn = (token: string, nowMs: number): z.infer<typeof claims> | undefined => {
  if (bearerIn(token) !== token) return undefined;
  const [head = '', payload = '', signature = ''] = token.split('.');
  const parsed = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  try {
    header.parse(parsed(head));
    const said = claims.parse(parsed(payload));
    const { iss, exp, nats } = said;
    // Only the account itself could tell whether a signing key is one of its own: anybody can name it beside a key of theirs.
    if (nats.issuer_account !== undefined && nats.issuer_account !== iss) return undefined;
    if (exp !== undefined && exp * 1000 <= nowMs) return undefined;
    return isSignedBy(iss, `${head}.${payload}`, signature) ? said : undefined;
  } catch {
    return undefined;
  }
};

/**
 * Who a bearer token is of, as the account says that signed it; undefined for whatever is no such token, or has expired. Whether the user was
 * revoked only NATS knows.
 */
export const readBearer = (token: string, now: () => number = Date.now): Bearer | undefined => {
  const said = bearerClaimsIn(token, now());
  return said && { name: said.name, user: said.sub, account: said.iss };
};
