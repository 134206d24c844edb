import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

// Looking for secrets in everything that a run left, in the spellings in which somebody who looks would find them.

export const spellings = (secret: string): Buffer[] => {
  const raw = Buffer.from(secret);
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), raw])
      .toString('base64')
      .replaceAll('=', '');
    return text.slice(shift === 0 ? 0 : shift + 1, -2);
  });
  const percent = encodeURIComponent(secret);
  return [
    secret,
    ...base64,
    ...base64.map((b) => b.replaceAll('+', '-').replaceAll('/', '_')),
    raw.toString('hex'),
    raw.toString('hex').toUpperCase(),
    raw.toString('utf16le'),
    percent,
    percent.replace(/%../g, (coded) => coded.toLowerCase()),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll('/', '\\/'),
  ].map((text) => Buffer.from(text));
};

export const filesUnder = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());

/** A stream's blocks come and go while somebody reads them; what was in one that is gone was on the wire. */
export const contentOf = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
};

/** Whether any of these secrets is in some bytes. */
export const createSearch = (secrets: readonly string[]): ((bytes: Buffer) => boolean) => {
  const wanted = secrets.flatMap(spellings);
  return (bytes) => wanted.some((w) => bytes.includes(w));
};
