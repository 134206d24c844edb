/** Encodings of something shorter would be found by chance in ordinary text. */
const minEncodedChars = 8;

/** The spellings in which a secret may come back: itself, and in JSON, URLs, hexadecimal and base64, alone or within something longer. */
export const spellingsOf = (secret: string): string[] => {
  if (secret === '') return [];
  const bytes = Buffer.from(secret, 'utf8');
  const json = JSON.stringify(secret).slice(1, -1);
  const hex = bytes.toString('hex');
  const percent = encodeURIComponent(secret.toWellFormed());
  const everyByte = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  const encoded = [
    json,
    JSON.stringify(json).slice(1, -1),
    percent,
    percent.toLowerCase(),
    percent.replaceAll('%20', '+'),
    everyByte,
    everyByte.toUpperCase(),
    hex,
    hex.toUpperCase(),
    ...base64Cores(bytes),
  ];
  // The longest first, so that no part of a longer spelling is left over.
  return [...new Set([secret, ...encoded.filter((text) => text.length >= minEncodedChars)])].sort(
    (a, b) => b.length - a.length,
  );
};

/** In base64 of something longer the secret begins at one of three places of a group; these are the characters that it alone decides. */
const base64Cores = (bytes: Buffer): string[] =>
  [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const isWhole = (offset + bytes.length) % 3 === 0;
    const core = text.slice(offset === 0 ? 0 : offset + 1, isWhole ? undefined : -1);
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
