import { createCurveKey } from '@agentgate/bus';
import { AgentGateError } from '@agentgate/contracts';
import type { Sealing } from '../minting.ts';

/** A fresh key per start (X25519, a NATS curve nkey): nothing that an earlier one sealed depends on it. */
export const createSealingKey = (): Sealing => {
  const key = createCurveKey();
  return {
    publicKey: key.publicKey,
    seal: (secret, recipient) => {
      try {
        return Buffer.from(key.seal(secret, recipient)).toString('base64');
      } catch (cause) {
        throw new AgentGateError('FIELD_INVALID', '/seal_to: not a curve key', { cause });
      }
    },
  };
};
