const pollMs = 50;

/** Asks again until the answer is something; throws what was last wrong once the time is over. */
export const eventually = async <T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> => {
  let last: unknown;
  for (const until = performance.now() + timeoutMs; ; ) {
    try {
      const found = await ask();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      last = error;
    }
    if (performance.now() > until) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
};
