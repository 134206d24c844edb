import { readFileSync } from 'node:fs';
import { eventSource, name, type ServiceName, serviceName } from '@agentgate/contracts';
import { createKeyRing, type KeyRing, type VerifyingKey, verifyingKey } from '@agentgate/evidence';
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

export const parseTrust = (text: string): Trust => {
  const { keys } = trustFile.parse(JSON.parse(text));
  // A service signs permits and receipts by its name, events by their source `agentgate/<service>/<instance>`.
  const ring = createKeyRing(
    keys.flatMap(({ service, public_key: publicKey }) =>
      [service, eventSource(service, '')].map((signer) => ({ signer, publicKey })),
    ),
  );
  const own = keys.map((k) => ({ service: k.service, key: verifyingKey(k.public_key) }));
  return {
    ...ring,
    keysOf: (service) => own.filter((k) => k.service === service).map((k) => k.key),
  };
};
export const readTrust = (file: string): Trust => parseTrust(readFileSync(file, 'utf8'));
