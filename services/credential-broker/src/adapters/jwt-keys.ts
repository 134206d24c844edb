import { readFileSync } from 'node:fs';
import { type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { type CryptoKey, calculateJwkThumbprint, importJWK } from 'jose';

/** A JSON Web Key Set (RFC 7517) of public keys. */
export interface JwksDocument {
  keys: { kty: 'OKP'; crv: 'Ed25519'; x: string; use: 'sig'; alg: 'EdDSA'; kid: string }[];
}

/** The keys that sign JWT credentials, as their file says. */
export interface JwtKeys {
  /** The newest key whose time has come. */
  signing(): Promise<{ kid: string; key: CryptoKey | Uint8Array }>;
  /** Every key whose tokens may still be good, and those that are going to sign: verifiers know them before they do. */
  published(): Promise<JwksDocument>;
}

/** A token that was signed with a key is over by then. */
const longestTokenMs = 3_600_000;
const clockMs = 300_000;

interface TimedKey {
  key: SigningKey;
  /** Milliseconds since the epoch. */
  from: number;
}

/** One key a line: its seed and, but for the first, the time (RFC 3339) from which it signs. Throws without repeating anything of it. */
export const parseJwtKeys = (text: string): TimedKey[] => {
  const keys = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [seed = '', from] = line.trim().split(/\s+/);
      const at = from === undefined ? 0 : Date.parse(from);
      if (Number.isNaN(at)) throw new Error('a key has a time that is none');
      return { key: signingKeyFromSeed(seed), from: at };
    });
  if (keys.length === 0) throw new Error('there is no key');
  return keys.sort((a, b) => a.from - b.from);
};

export const createJwtKeys = (file: string, now: () => number): JwtKeys => {
  let read: { text: string; keys: TimedKey[] } | undefined;
  const imported = new Map<
    string,
    Promise<{ kid: string; key: CryptoKey | Uint8Array; jwk: JwksDocument['keys'][0] }>
  >();

  /** The file is small and in the cache of the system: it is read each time, so that a rotation counts at once. */
  const current = (): TimedKey[] => {
    const text = readFileSync(file, 'utf8');
    if (read?.text !== text) read = { text, keys: parseJwtKeys(text) };
    return read.keys;
  };
  const load = ({ key }: TimedKey) => {
    const known = imported.get(key.publicKey) ?? importKey(key);
    imported.set(key.publicKey, known);
    return known;
  };
  return {
    signing: async () => {
      const at = now();
      const keys = current();
      const newest = keys.findLast(({ from }) => from <= at) ?? keys[0];
      if (!newest) throw new Error('there is no key');
      return load(newest);
    },
    published: async () => {
      const at = now();
      const keys = current().filter((_, i, all) => {
        const next = all[i + 1];
        return next === undefined || at < next.from + longestTokenMs + clockMs;
      });
      return { keys: (await Promise.all(keys.map(load))).map(({ jwk }) => jwk) };
    },
  };
};

const importKey = async (key: SigningKey) => {
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x: key.publicKey } as const;
  const kid = await calculateJwkThumbprint(publicJwk);
  return {
    kid,
    key: await importJWK({ ...publicJwk, d: key.seed }, 'EdDSA'),
    jwk: { ...publicJwk, use: 'sig' as const, alg: 'EdDSA' as const, kid },
  };
};
