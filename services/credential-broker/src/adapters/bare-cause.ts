const word = /^[A-Za-z0-9_.]{1,64}$/;
const wordOf = (value: unknown): string | undefined =>
  typeof value === 'string' && word.test(value) ? value : undefined;

/**
 * What may be kept of somebody else's error: its name and its code. Messages and further fields may quote what was read or sent: a parser
 * quotes its text, `fetch` the header it does not like.
 */
export const bareCause = (error: unknown): NodeJS.ErrnoException => {
  if (!(error instanceof Error)) return new Error('unknown');
  const inner = error.cause instanceof Error ? error.cause : undefined;
  const code = wordOf(codeOf(error)) ?? wordOf(codeOf(inner));
  const names = [wordOf(error.name), wordOf(inner?.name), code].filter((part) => part !== undefined);
  return Object.assign(new Error(names.join(' ') || 'unknown'), code === undefined ? {} : { code });
};

const codeOf = (error: Error | undefined): unknown => (error && 'code' in error ? error.code : undefined);
