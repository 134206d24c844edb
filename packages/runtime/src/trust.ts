import { readFileSync } from 'node:fs';
import { name, type ServiceName, serviceName } from '@agentgate/contracts';
import { type KeyRing, type VerifyingKey, verifyingKey } from '@agentgate/evidence';
import { z } from 'zod';

const trustFile = z.strictObject({
  v: z.literal(1),
  keys: z
    .array(z.strictObject({ keyid: z.string(), service: z.union([serviceName, name]), public_key: z.string() }))
    .max(1024),
});

/** The public keys of the deployment and which service each speaks for. */
export interface Trust extends KeyRing {
  keysOf(service: ServiceName): VerifyingKey[];
}

/** Signers are a service's name (permits, receipts) or an event source `agentgate/<service>/<instance>`. */
const speaksFor = (service: string, signer: string) => signer === service || signer.startsWith(`agentgate/${service}/`);

export const parseTrust = (text: string): Trust => {
  const entries = trustFile
    .parse(JSON.parse(text))
    .keys.map((k) => ({ service: k.service, key: verifyingKey(k.public_key) }));
  const byId = new Map(entries.map((e) => [e.key.keyid, e]));
  return {
    find: (keyid, signer) => {
      const entry = byId.get(keyid);
      return entry && speaksFor(entry.service, signer) ? entry.key : undefined;
    },
    keysOf: (service) => entries.filter((e) => e.service === service).map((e) => e.key),
  };
};
export const readTrust = (file: string): Trust => parseTrust(readFileSync(file, 'utf8'));
