import { AgentGateError } from '@agentgate/contracts';
import { generateProof, type KeyPair } from 'dpop';
import type { Credential } from '../credential.ts';

/** Sends requests with a proof that their sender holds the key which the token is bound to (RFC 9449). */
export interface Proofs {
  fetch(target: URL, init: RequestInit | undefined): Promise<Response>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** Undefined for a credential that is not bound to a key. */
export const createProofs = ({ parts, dpopKey }: Credential): Proofs | undefined => {
  if (!dpopKey) return undefined;
  const { secret: token } = parts;
  const keys = keyPair(dpopKey);
  // Nobody may wait for it before the first request; whoever does then hears of a failure.
  keys.catch(() => {});
  let nonce: string | undefined;

  const send = async (target: URL, init: RequestInit | undefined): Promise<Response> => {
    const where = `${target.origin}${target.pathname}`;
    const proof = await generateProof(await keys, where, init?.method ?? 'GET', nonce, token);
    const headers = new Headers(init?.headers);
    headers.set('DPoP', proof);
    const response = await fetch(target, { ...init, headers });
    nonce = response.headers.get('DPoP-Nonce') ?? nonce;
    return response;
  };
  return {
    fetch: async (target, init) => {
      const before = nonce;
      const response = await send(target, init);
      // Refused for want of a nonce (RFC 9449, section 9): nothing ran, so it is asked once more.
      if (response.status !== 401 || nonce === before) return response;
      await response.body?.cancel();
      return send(target, init);
    },
  };
};

const keyPair = async (jwk: Record<string, unknown>): Promise<KeyPair> => {
  try {
    const { d: _, key_ops: __, ...open } = jwk;
    const [privateKey, publicKey] = await Promise.all([
      crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']),
      crypto.subtle.importKey('jwk', open, algorithm, true, ['verify']),
    ]);
    return { privateKey, publicKey };
  } catch (cause) {
    throw new AgentGateError('CREDENTIAL_UNAVAILABLE', 'the key that the token is bound to cannot be used', { cause });
  }
};
