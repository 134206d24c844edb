import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentGateError, type SecretSource } from '@agentgate/contracts';
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

/** What fits sealed into a lease's answer. */
const maxSecretBytes = 8_192;
const othersMayRead = 0o077;
/** Where systemd puts what `LoadCredential=` names (systemd.exec, "Credentials"). */
const systemdFolder = 'CREDENTIALS_DIRECTORY';

export const createSecretReader = ({ credential, environment, log }: SecretSourceOptions): ReadSecret => {
  let warned = false;

  const readFile = async (path: string): Promise<Uint8Array> => {
    let file: FileHandle;
    try {
      // Not blocking: a pipe in the file's place must not hold up the broker.
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw unavailable(credential, 'has a file that cannot be read', cause);
    }
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw unavailable(credential, 'names something that is not a file');
      if (stat.size > maxSecretBytes) throw unavailable(credential, `has a file of more than ${maxSecretBytes} bytes`);
      if ((stat.mode & othersMayRead) !== 0 && !warned) {
        warned = true;
        log.warn(
          { credential, mode: (stat.mode & 0o777).toString(8) },
          'the file of a credential can be read by others: its mode should be 600',
        );
      }
      return await file.readFile();
    } catch (error) {
      if (error instanceof AgentGateError) throw error;
      throw unavailable(credential, 'has a file that cannot be read', error);
    } finally {
      await file.close();
    }
  };
  const fromSystemd = (name: string): Promise<Uint8Array> => {
    const folder = environment(systemdFolder);
    if (folder === undefined) throw unavailable(credential, 'is to come from systemd, which handed nothing over');
    return readFile(join(folder, name));
  };
  const bytesOf = async (source: SecretSource): Promise<Uint8Array> => {
    if ('file' in source) return readFile(source.file);
    if ('systemd' in source) return fromSystemd(source.systemd);
    return Buffer.from(environment(source.env) ?? '', 'utf8');
  };
  return async (source) => {
    // Editors and `echo` end a file with a line end that is not part of the secret.
    const secret = Buffer.from(await bytesOf(source))
      .toString('utf8')
      .replace(/[\r\n]+$/, '');
    if (secret === '') throw unavailable(credential, 'is empty or not set');
    if (Buffer.byteLength(secret) > maxSecretBytes)
      throw unavailable(credential, `is larger than ${maxSecretBytes} bytes`);
    return secret;
  };
};
