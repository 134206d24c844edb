import { writeFileSync } from 'node:fs';
import { CliError } from '../context.ts';

/** Writes what leaves the log: for its owner alone, who decides who reads it. Throws CliError where that cannot be. */
export const writeOut = (file: string, content: string | Uint8Array): void => {
  try {
    writeFileSync(file, content, { mode: 0o600 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(`--out: ${file} cannot be written (${code})`, { cause: error });
  }
};
