/** Does `work` every so many milliseconds, never twice at once; a run that takes longer makes the next ones wait. */
export const repeat = (
  everyMs: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): { stop(): void } => {
  let running = false;
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    work()
      .catch(onError)
      .finally(() => {
        running = false;
      });
  }, everyMs);
  return { stop: () => clearInterval(timer) };
};
