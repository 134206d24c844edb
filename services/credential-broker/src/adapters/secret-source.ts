import type { SecretSource } from '@agentgate/contracts';
import { createSecretReader as createReader } from '@agentgate/runtime';
import type { BrokerLog } from '../ending.ts';
import { unavailable } from '../provider.ts';

/** Reads a secret of the deployment's, each time anew, so that a rotated one counts at once. Rejects CREDENTIAL_UNAVAILABLE. */
export type ReadSecret = (source: SecretSource) => Promise<string>;

interface SecretSourceOptions {
  credential: string;
  /** The values of the environment variables that sources name. */
  environment: (name: string) => string | undefined;
  log: Pick<BrokerLog, 'warn'>;
}

export const createSecretReader = ({ credential, environment, log }: SecretSourceOptions): ReadSecret =>
  createReader({
    environment,
    refused: (problem, cause) => unavailable(credential, problem, cause),
    onOpenToOthers: (mode) =>
      log.warn({ credential, mode }, 'the file of a credential can be read by others: its mode should be 600'),
  });
