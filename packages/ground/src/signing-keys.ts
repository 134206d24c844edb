import { join } from 'node:path';
import { type ServiceName, services } from '@agentgate/contracts';
import { generateSigningKey, noteVerifierKey, type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { readOrMake, writePrivate } from './private-file.ts';

export const logOrigin = 'agentgate.local/default';

export interface SigningKeys {
  key(service: ServiceName): SigningKey;
  keyFile(service: ServiceName): string;
  trustFile: string;
  /** The key that signs the log's checkpoints, and what verifies it. */
  logKeyFile: string;
  logVerifierKey: string;
  /** The key that signs minted JWT credentials. */
  jwtKeyFile: string;
}

const keyIn = (file: string): SigningKey => signingKeyFromSeed(readOrMake(file, () => generateSigningKey().seed));

/** The services' signing keys, made once, and trust.json: whose signature counts for what. */
export const layKeys = (home: string): SigningKeys => {
  const fileOf = (service: string) => join(home, 'keys', 'sign', `${service}.seed`);
  const keys = Object.fromEntries(services.map((service) => [service, keyIn(fileOf(service))])) as Record<
    ServiceName,
    SigningKey
  >;
  const trustFile = join(home, 'keys', 'trust.json');
  const trust = {
    v: 1,
    keys: services.map((service) => ({ keyid: keys[service].keyid, service, public_key: keys[service].publicKey })),
  };
  writePrivate(trustFile, `${JSON.stringify(trust, null, 2)}\n`);
  const logKeyFile = join(home, 'keys', 'log.seed');
  const jwtKeyFile = join(home, 'keys', 'jwt.seed');
  keyIn(jwtKeyFile);
  return {
    key: (service) => keys[service],
    keyFile: fileOf,
    trustFile,
    logKeyFile,
    logVerifierKey: noteVerifierKey(logOrigin, keyIn(logKeyFile).publicKey),
    jwtKeyFile,
  };
};
