import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecretSource } from '@agentgate/contracts';

export interface SecretReaderOptions {
  /** The values of the environment variables that sources name. */
  environment: (name: string) => string | undefined;
  /** The error that is thrown; `problem` goes on from the secret's name: "has a file that cannot be read". */
  refused: (problem: string, cause?: unknown) => Error;
  /** Hears once of a file that others may read, with its mode. */
  onOpenToOthers: (mode: string) => void;
}

/** What fits sealed into a lease's answer. */
const maxSecretBytes = 8_192;
const othersMayRead = 0o077;
/** Where systemd puts what `LoadCredential=` names (systemd.exec, "Credentials"). */
const systemdFolder = 'CREDENTIALS_DIRECTORY';

/** Reads a secret of the deployment's, each time anew, so that a rotated one counts at once. */
export const createSecretReader = ({
  environment,
  refused,
  onOpenToOthers,
}: SecretReaderOptions): ((source: SecretSource) => Promise<string>) => {
  let warned = false;

  const readOpened = async (file: FileHandle): Promise<Uint8Array> => {
    const stat = await file.stat();
    if (!stat.isFile()) throw refused('names something that is not a file');
    if (stat.size > maxSecretBytes) throw refused(`has a file of more than ${maxSecretBytes} bytes`);
    if ((stat.mode & othersMayRead) !== 0 && !warned) {
      warned = true;
      onOpenToOthers((stat.mode & 0o777).toString(8));
    }
    return file.readFile().catch((cause: unknown) => {
      throw refused('has a file that cannot be read', cause);
    });
  };
  const readFile = async (path: string): Promise<Uint8Array> => {
    // Not blocking: a pipe in the file's place must not hold up the service.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
      throw refused('has a file that cannot be read', cause);
    });
    try {
      return await readOpened(file);
    } finally {
      await file.close();
    }
  };
  const bytesOf = async (source: SecretSource): Promise<Uint8Array> => {
    if ('file' in source) return readFile(source.file);
    if ('env' in source) return Buffer.from(environment(source.env) ?? '', 'utf8');
    const folder = environment(systemdFolder);
    if (folder === undefined) throw refused('is to come from systemd, which handed nothing over');
    return readFile(join(folder, source.systemd));
  };
  return async (source) => {
    // Editors and `echo` end a file with a line end that is not part of the secret.
    const secret = Buffer.from(await bytesOf(source))
      .toString('utf8')
      .replace(/[\r\n]+$/, '');
    if (secret === '') throw refused('is empty or not set');
    if (Buffer.byteLength(secret) > maxSecretBytes) throw refused(`is larger than ${maxSecretBytes} bytes`);
    return secret;
  };
};
