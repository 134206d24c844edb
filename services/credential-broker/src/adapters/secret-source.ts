import { access, constants } from 'node:fs/promises';
import { type Config, type SecretSource, sourcesOf } from '@agentgate/contracts';
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

/**
 * Names each file that agentgate.yaml names and nobody can read now, or else the first call would. No reason not to start: the file may come later,
 * and it is read anew for each lease.
 */
export const warnOfMissingFiles = async (
  credentials: Config['credentials'],
  log: Pick<BrokerLog, 'warn'>,
): Promise<void> => {
  for (const [credential, config] of Object.entries(credentials)) {
    const files = sourcesOf(config).flatMap((source) => ('file' in source ? [source.file] : []));
    for (const file of new Set(files)) {
      const problem = await problemWith(file);
      if (problem === undefined) continue;
      log.warn({ credential, file }, `credential ${credential}: its file ${file} ${problem}`);
    }
  }
};

const problemWith = async (file: string): Promise<string | undefined> => {
  try {
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR'
      ? 'does not exist; calls that need it are refused until it does'
      : 'cannot be read; calls that need it are refused until it can';
  }
};
