import { AgentGateError, type LeaseAsk, type ListingLeaseAsk, runnerKeyText } from '@agentgate/contracts';
import type { VerifyingKey } from '@agentgate/evidence';

/**
 * Whether a tool-runner named the key that the secret will be sealed to, for this one permit. Without it, whoever can
 * place a message on the broker's subject with a stolen permit could name a key of its own and read the secret.
 */
export type RunnerKeyCheck = (ask: LeaseAsk | ListingLeaseAsk) => void;

/** Ed25519 in base64 without a second spelling. */
const signaturePattern = /^[A-Za-z0-9+/]{85}[AQgw]==$/;

/** The form of a public curve nkey; its checksum is looked at when the secret is sealed. */
const curveKeyPattern = /^X[A-Z2-7]{55}$/;

export const createRunnerKeyCheck =
  (keys: () => VerifyingKey[]): RunnerKeyCheck =>
  (ask) => {
    if (!curveKeyPattern.test(ask.seal_to)) throw new AgentGateError('FIELD_INVALID', '/seal_to: not a curve key');
    const text = Buffer.from(runnerKeyText(ask));
    const signature = Buffer.from(ask.sig, 'base64');
    const signed = signaturePattern.test(ask.sig) && keys().some((key) => key.verify(text, signature));
    if (!signed) throw new AgentGateError('RUNNER_UNAVAILABLE', 'the key to seal to is not signed by a tool-runner');
  };
