import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AgentGateError } from '@agentgate/contracts';
import type { BrokerLog } from '../ending.ts';
import type { Provider } from '../provider.ts';

export type SecretSource = { file: string } | { env: string };

interface StaticProviderOptions {
  sources: ReadonlyMap<string, SecretSource>;
  /** The values of the environment variables that `sources` name. */
  environment: (name: string) => string | undefined;
  log: BrokerLog;
}

/** What fits sealed into a lease's answer. */
const maxSecretBytes = 8_192;
const othersMayRead = 0o077;

/**
 * A secret that somebody else made and that stands in a file or an environment variable. The file is read at each mint, so a
 * rotated secret counts from the next lease on. There is nothing to revoke: the secret stays valid wherever it went.
 */
export const createStaticProvider = ({ sources, environment, log }: StaticProviderOptions): Provider => {
  const warned = new Set<string>();

  const readFromFile = async (credential: string, path: string): Promise<Uint8Array> => {
    let file: FileHandle;
    try {
      // Not blocking: a pipe in the file's place must not hold up the broker.
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw unavailable(credential, 'has a file that cannot be read', cause);
    }
    try {
      const { mode, size } = await file
        .stat()
        .then((stat) =>
          stat.isFile() ? stat : Promise.reject(unavailable(credential, 'names something that is not a file')),
        );
      if (size > maxSecretBytes) throw unavailable(credential, `has a file of more than ${maxSecretBytes} bytes`);
      if ((mode & othersMayRead) !== 0 && !warned.has(credential)) {
        warned.add(credential);
        log.warn(
          { credential, mode: (mode & 0o777).toString(8) },
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

  return {
    name: 'static',
    mint: async ({ credential }) => {
      const source = sources.get(credential);
      if (!source) throw unavailable(credential, 'has no source');
      const raw =
        'file' in source
          ? await readFromFile(credential, source.file)
          : Buffer.from(environment(source.env) ?? '', 'utf8');
      const secret = withoutLineEnd(raw);
      if (secret.length === 0) throw unavailable(credential, 'is empty or not set');
      if (secret.length > maxSecretBytes) throw unavailable(credential, `is larger than ${maxSecretBytes} bytes`);
      return { secret };
    },
    revoke: async () => {},
  };
};

const unavailable = (credential: string, what: string, cause?: unknown) =>
  new AgentGateError('CREDENTIAL_UNAVAILABLE', `credential ${credential} ${what}`, { cause });

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
/** Editors and `echo` end a file with a line end that is not part of the secret. */
const withoutLineEnd = (bytes: Uint8Array): Uint8Array => {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] === lineFeed || bytes[end - 1] === carriageReturn)) end--;
  return bytes.subarray(0, end);
};
