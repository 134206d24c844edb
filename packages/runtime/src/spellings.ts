/** Encodings of something shorter would be found by chance in ordinary text. */
const minEncodedChars = 8;

const asciiJson = (json: string): string =>
  json.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
const lowerEscapes = (percent: string): string => percent.replace(/%[0-9A-F]{2}/g, (coded) => coded.toLowerCase());
/** RFC 3986 reserves these, too; encodeURIComponent leaves them. */
const strictly = (percent: string): string =>
  percent.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** The spellings in which a secret may come back: itself, and in JSON, URLs, hexadecimal and base64, alone or within something longer. */
export const spellingsOf = (secret: string): string[] => {
  if (secret === '') return [];
  const bytes = Buffer.from(secret, 'utf8');
  const json = JSON.stringify(secret).slice(1, -1);
  const hex = bytes.toString('hex');
  const percents = [encodeURIComponent(secret.toWellFormed()), encodeURI(secret.toWellFormed())].flatMap((percent) => [
    percent,
    strictly(percent),
  ]);
  const everyByte = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  // Some writers of JSON escape slashes (PHP), some all that is not ASCII (Python).
  const jsons = [json, asciiJson(json)].flatMap((text) => [text, text.replaceAll('/', '\\/')]);
  const encoded = [
    ...jsons,
    ...jsons.map((text) => JSON.stringify(text).slice(1, -1)),
    ...percents.flatMap((percent) => [percent, percent.replaceAll('%20', '+')]).flatMap((p) => [p, lowerEscapes(p)]),
    everyByte,
    everyByte.toUpperCase(),
    hex,
    hex.toUpperCase(),
    ...base64Cores(bytes).flatMap((core) => [core, core.replaceAll('+', '-').replaceAll('/', '_')]),
  ];
  // The longest first, so that no part of a longer spelling is left over.
  return [...new Set([secret, ...encoded.filter((text) => text.length >= minEncodedChars)])].sort(
    (a, b) => b.length - a.length,
  );
};

/** In base64 of something longer the secret begins at one of three places of a group; these are the characters that it alone decides. */
const base64Cores = (bytes: Buffer): string[] =>
  [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const isWhole = (offset + bytes.length) % 3 === 0;
    return text.slice(offset === 0 ? 0 : offset + 1, isWhole ? undefined : -1);
  });

/** Layers of escapes that are undone: a JSON text within a JSON text within a URL. */
const maxLayers = 4;
const escapes =
  /\\u([0-9a-f]{4})|\\u\{0*([0-9a-f]{1,6})\}|\\x([0-9a-f]{2})|\\([^ux])|((?:%[0-9a-f]{2})+)|&#x0*([0-9a-f]{1,6});|&#0*(\d{1,7});|&(amp|lt|gt|quot|apos);/gi;
const controls: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const char = (code: number): string => (code <= 0x10ffff ? String.fromCodePoint(code) : '');

const withoutEscapes = (text: string): string =>
  text.replace(escapes, (_, u, uBraces, x, plain, percents, hex, decimal, entity) => {
    const code = u ?? uBraces ?? x ?? hex;
    if (code !== undefined) return char(Number.parseInt(code, 16));
    if (decimal !== undefined) return char(Number(decimal));
    if (percents !== undefined) return Buffer.from(percents.replaceAll('%', ''), 'hex').toString('utf8');
    if (entity !== undefined) return entities[entity.toLowerCase()] ?? '';
    return controls[plain] ?? plain;
  });

/**
 * Whether a text says one of the secrets to a reader who undoes what texts go through: escapes of JSON, URLs and HTML, also several layers and
 * mixed, folded lines, and base64 or hexadecimal broken into lines or groups. It tells that, not where.
 */
export const createSecretFinder = (secrets: readonly string[]): ((text: string) => boolean) => {
  const sought = secrets
    .filter((secret) => secret !== '')
    .map((secret) => {
      const bytes = Buffer.from(secret, 'utf8');
      const folded = secret.replace(/\s+/g, '');
      return {
        secret,
        folded: folded.length >= minEncodedChars ? folded : undefined,
        cores: base64Cores(bytes).filter((core) => core.length >= minEncodedChars),
        hex: bytes.length * 2 >= minEncodedChars ? bytes.toString('hex') : undefined,
      };
    });
  const says = (text: string): boolean => {
    const folded = text.replace(/\s+/g, '');
    const base64 = folded.replaceAll('-', '+').replaceAll('_', '/');
    const hex = folded.replace(/[:,-]|0x/gi, '').toLowerCase();
    return sought.some(
      (s) =>
        text.includes(s.secret) ||
        (s.folded !== undefined && folded.includes(s.folded)) ||
        s.cores.some((core) => base64.includes(core)) ||
        (s.hex !== undefined && hex.includes(s.hex)),
    );
  };
  const saysBelow = (text: string): boolean => {
    let layer = text;
    for (let depth = 0; depth <= maxLayers; depth++) {
      if (says(layer)) return true;
      const next = withoutEscapes(layer);
      if (next === layer) return false;
      layer = next;
    }
    return false;
  };
  // In a form a plus is a space, next to pluses that are escaped.
  const hasSpaces = secrets.some((secret) => secret.includes(' '));
  return (text) =>
    sought.length > 0 && (saysBelow(text) || (hasSpaces && text.includes('+') && saysBelow(text.replaceAll('+', ' '))));
};
