export interface Repeating {
  /** Resolves once the running work has ended. */
  stop(): Promise<void>;
}

/** Works each second, never twice at a time; what fails is told and tried again a second later. */
export const everySecond = (work: () => Promise<void>, onError: (error: unknown) => void): Repeating => {
  let running: Promise<void> | undefined;
  const timer = setInterval(() => {
    running ??= work()
      .catch(onError)
      .finally(() => {
        running = undefined;
      });
  }, 1_000);
  return {
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
};
