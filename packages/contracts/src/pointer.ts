// JSON pointers (RFC 6901) and patterns of them, in which the token `*` stands for any one member.

const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1');
export const toPointer = (path: readonly string[]): string => path.map((token) => `/${escapeToken(token)}`).join('');

/** The tokens of a JSON pointer. */
export const tokensOf = (pattern: string): string[] =>
  pattern
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

/** Whether the value at `path` is one that the pattern names, or stands below one. */
export const createPointerMatch = (patterns: readonly string[]): ((path: readonly string[]) => boolean) => {
  const all = patterns.map(tokensOf);
  return (path) =>
    all.some(
      (tokens) => tokens.length <= path.length && tokens.every((token, i) => token === '*' || token === path[i]),
    );
};

export const redactedText = '[redacted]';
const mostPointers = 64;

export interface RedactedAt<T> {
  value: T;
  /** Pointers to what was taken out; at most 64 are named. */
  redacted: string[];
  /** What stood there. */
  taken: unknown[];
}

/**
 * A copy in which what the patterns name is `[redacted]`. Where a value has another shape than they expect it is redacted rather than shown: a list
 * in an object's place is looked at member by member, a text in its place (it may hold the object as JSON) goes as a whole.
 */
export const redactAt = <T>(value: T, patterns: readonly string[]): RedactedAt<T> => {
  if (patterns.length === 0) return { value, redacted: [], taken: [] };
  const redacted: string[] = [];
  const taken: unknown[] = [];
  const walk = (at: unknown, rests: string[][], path: readonly string[]): unknown => {
    if (rests.some((rest) => rest.length === 0)) {
      if (redacted.length < mostPointers) redacted.push(toPointer(path));
      taken.push(at);
      return redactedText;
    }
    if (typeof at === 'string' && path.length > 0) {
      if (redacted.length < mostPointers) redacted.push(toPointer(path));
      taken.push(at);
      return redactedText;
    }
    if (typeof at !== 'object' || at === null) return at;
    const step = (key: string, member: unknown): unknown => {
      const next = rests.filter(([first]) => first === '*' || first === key).map((rest) => rest.slice(1));
      return next.length === 0 ? member : walk(member, next, [...path, key]);
    };
    if (Array.isArray(at)) {
      const named = rests.filter(([first]) => first !== '*' && !/^\d+$/.test(first ?? ''));
      return at.map((member, i) => {
        const stepped = step(String(i), member);
        return named.length === 0 ? stepped : walk(stepped, named, [...path, String(i)]);
      });
    }
    return Object.fromEntries(Object.entries(at).map(([key, member]) => [key, step(key, member)]));
  };
  return { value: walk(value, patterns.map(tokensOf), []) as T, redacted, taken };
};
